#include "index/cli/chunk_reader.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/stopwatch.h"

namespace mrl::cli {

ChunkReader::ChunkReader(const Readers& readers, SideRows& side, const Options& options)
    : readers_(readers), side_(side), options_(options) {
  if (options_.ahead) reading_.Start([this] { return Read(); });
}

absl::StatusOr<collection::Chunk> ChunkReader::Next() {
  MRL_RETURN_IF_ERROR(options_.ahead ? reading_.Wait() : Read());
  collection::Chunk chunk = std::exchange(next_, {});
  if (options_.ahead && !chunk.ids.empty()) reading_.Start([this] { return Read(); });
  return chunk;
}

absl::Status ChunkReader::Read() {
  const Stopwatch stopwatch(&seconds_);
  while (reader_ < readers_.size() && begin_ == readers_[reader_]->rows()) {
    ++reader_;
    begin_ = 0;
  }
  if (reader_ == readers_.size() || done_ == options_.rows) return absl::OkStatus();
  const io::EmbeddingReader& reader = *readers_[reader_];
  const size_t count =
      std::min<uint64_t>({options_.chunk_rows, reader.rows() - begin_, options_.rows - done_});
  next_.vectors.resize(count * reader.dims());
  MRL_RETURN_IF_ERROR(reader.Read(begin_, absl::MakeSpan(next_.vectors)));
  MRL_RETURN_IF_ERROR(side_.Read(done_, count, &next_));
  begin_ += count;
  done_ += count;
  return absl::OkStatus();
}

}  // namespace mrl::cli
