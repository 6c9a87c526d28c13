#include "index/store/tail.h"

#include <functional>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "index/store/level_codec.h"

namespace mrl::store {

class TailSegment final : public Segment {
 public:
  TailSegment(std::shared_ptr<const Tail> tail, const SegmentInfo& info)
      : Segment(info, tail->schema_), tail_(std::move(tail)) {
    Arrays arrays;
    for (const Buffer& level : tail_->levels_) arrays.levels.push_back(level.data());
    if (tail_->scales_.size() > 0) arrays.scales = tail_->scales_.As<float>();
    if (tail_->norms_.size() > 0) arrays.inverse_norms = tail_->norms_.As<float>();
    if (tail_->mean_deviation_.size() > 0) {
      arrays.mean_deviation = tail_->mean_deviation_.As<float>();
    }
    SetArrays(std::move(arrays));
  }

  uint64_t Sequence(uint32_t row) const override { return tail_->sequences_.As<uint64_t>()[row]; }
  PointId Id(uint32_t row) const override { return tail_->ids_[row]; }
  std::optional<uint32_t> Find(const PointId& id) const override { return tail_->Find(id, rows()); }
  bool IdLess(uint32_t a, uint32_t b) const override { return tail_->ids_[a] < tail_->ids_[b]; }
  absl::StatusOr<std::string> Payload(uint32_t row) const override { return tail_->payloads_[row]; }

  // Of the rows of this view; the room behind them is not counted.
  Memory memory() const override {
    Memory memory;
    memory.levels = rows() * schema().vector_bytes();
    if (tail_->norms_.size() > 0) memory.norms = rows() * schema().levels() * sizeof(float);
    memory.ids = rows() * (2 * sizeof(PointId) + 2 * sizeof(uint32_t));
    memory.other = rows() * (sizeof(uint64_t) + sizeof(std::string));
    return memory;
  }

 private:
  const std::shared_ptr<const Tail> tail_;
};

size_t Tail::IdHash::operator()(const PointId& id) const {
  return id.is_number() ? std::hash<uint64_t>()(id.number() * 0x9E3779B97F4A7C15U)
                        : std::hash<std::string>()(id.text());
}

absl::StatusOr<std::shared_ptr<Tail>> Tail::Create(const Schema& schema, uint32_t rows_max,
                                                   MemoryAccount& account) {
  CHECK(rows_max >= 1 && rows_max <= Segment::kRowsMax);
  std::shared_ptr<Tail> tail(new Tail(schema, rows_max, account));
  MRL_RETURN_IF_ERROR(tail->Allocate());
  return tail;
}

absl::Status Tail::Allocate() {
  const uint64_t rows = rows_max_;
  const uint64_t norms =
      schema_.metric == Metric::kCosine ? rows * schema_.levels() * sizeof(float) : 0;
  const uint64_t moments =
      schema_.transform == Transform::kLayerNorm ? rows * 2 * sizeof(float) : 0;
  const uint64_t row_bytes = schema_.vector_bytes() + sizeof(uint64_t) + sizeof(uint32_t) +
                             2 * sizeof(PointId) + sizeof(std::string);
  MRL_ASSIGN_OR_RETURN(auto reserved,
                       account_.Reserve(rows * row_bytes + norms + moments, "the tail"));
  reservations_.push_back(std::move(reserved));
  for (size_t level = 0; level < schema_.levels(); ++level) {
    MRL_ASSIGN_OR_RETURN(Buffer buffer, Buffer::Allocate(rows * schema_.level_width(level) *
                                                         ElementBytes(schema_.storage)));
    levels_.push_back(std::move(buffer));
  }
  MRL_ASSIGN_OR_RETURN(scales_,
                       Buffer::Allocate(rows * schema_.levels() * ScaleBytes(schema_.storage)));
  MRL_ASSIGN_OR_RETURN(norms_, Buffer::Allocate(norms));
  MRL_ASSIGN_OR_RETURN(mean_deviation_, Buffer::Allocate(moments));
  MRL_ASSIGN_OR_RETURN(sequences_, Buffer::Allocate(rows * sizeof(uint64_t)));
  MRL_ASSIGN_OR_RETURN(previous_, Buffer::Allocate(rows * sizeof(uint32_t)));
  ids_ = std::make_unique<PointId[]>(rows);
  payloads_ = std::make_unique<std::string[]>(rows);
  return absl::OkStatus();
}

absl::Status Tail::Reserve(uint64_t bytes) {
  if (bytes == 0) return absl::OkStatus();
  MRL_ASSIGN_OR_RETURN(auto reserved, account_.Reserve(bytes, "payloads of the tail"));
  reservations_.push_back(std::move(reserved));
  return absl::OkStatus();
}

void Tail::Append(StoredRow row) {
  CHECK(rows_ < rows_max_);
  CHECK(row.vector.size() == schema_.dim);
  const size_t at = rows_;
  for (size_t level = 0; level < schema_.levels(); ++level) {
    const size_t width = schema_.level_width(level);
    const float scale =
        EncodeLevel(schema_.storage, row.vector.data() + schema_.level_begin(level), width,
                    levels_[level].data() + at * width * ElementBytes(schema_.storage));
    if (scales_.size() > 0) scales_.As<float>()[at * schema_.levels() + level] = scale;
  }
  if (norms_.size() > 0) {
    InverseNorms(schema_, row.vector.data(), norms_.As<float>() + at * schema_.levels());
  }
  if (mean_deviation_.size() > 0) {
    mean_deviation_.As<float>()[2 * at] = row.mean;
    mean_deviation_.As<float>()[2 * at + 1] = row.deviation;
  }
  sequences_.As<uint64_t>()[at] = row.sequence;
  payloads_[at] = std::move(row.payload);
  ids_[at] = row.id;
  absl::MutexLock lock(&mutex_);
  const auto [entry, is_new] = latest_.try_emplace(std::move(row.id), rows_);
  previous_.As<uint32_t>()[at] = is_new ? kNoRow : entry->second;
  entry->second = rows_++;
}

std::shared_ptr<const Segment> Tail::View(std::shared_ptr<const Tail> tail, uint32_t rows) {
  CHECK(rows >= 1);
  SegmentInfo info;
  info.rows = rows;
  info.first_sequence = tail->sequences_.As<uint64_t>()[0];
  info.last_sequence = tail->sequences_.As<uint64_t>()[rows - 1];
  return std::make_shared<TailSegment>(std::move(tail), info);
}

std::optional<uint32_t> Tail::Find(const PointId& id, uint32_t rows) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = latest_.find(id);
  if (found == latest_.end()) return std::nullopt;
  uint32_t row = found->second;
  while (row != kNoRow && row >= rows) row = previous_.As<uint32_t>()[row];
  return row == kNoRow ? std::nullopt : std::optional<uint32_t>(row);
}

}  // namespace mrl::store
