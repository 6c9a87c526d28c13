#include "index/collection/rocks.h"

#include <rocksdb/cache.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mrl::collection {
namespace {

// RocksDB's own recovery from a full disk looks for space every few seconds, and is busy meanwhile;
// here the next write asks.
class NoRecoveryOfItsOwn final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
};

constexpr size_t kBlockCacheBytes = 32 << 20;  // of all collections of the process together

}  // namespace

rocksdb::Options DatabaseOptions(rocksdb::Env* env) {
  static const auto& cache = *new std::shared_ptr<rocksdb::Cache>(
      rocksdb::NewLRUCache(kBlockCacheBytes, /*num_shard_bits=*/2));
  rocksdb::Options options;
  if (env != nullptr) options.env = env;
  options.info_log = std::make_shared<NoLog>();
  options.listeners.push_back(std::make_shared<NoRecoveryOfItsOwn>());
  // A block's checksum leaves bytes between blocks unguarded; the file's guards them all.
  options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  options.db_host_id = "";  // a collection goes to other machines and need not tell of this one
  options.max_open_files = 64;
  options.max_background_jobs = 2;
  options.max_file_opening_threads = 1;  // the default of 16 costs address space and buys nothing
  options.write_buffer_size = 4 << 20;
  options.arena_block_size = 64 << 10;  // a server has many collections that are hardly written to
  options.allow_fallocate = false;      // the same in disk space
  // A log file that was synced and is gone or shorter is damage, not the end of the log.
  options.track_and_verify_wals_in_manifest = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

bool IsLockHeld(const rocksdb::Status& status) {
  const std::string text = status.ToString();
  return status.IsIOError() && (absl::StrContains(text, "lock hold by current process") ||
                                absl::StrContains(text, "While lock file"));
}

std::string EncodeSequence(uint64_t sequence) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(sequence >> (8 * i));
  return bytes;
}

absl::StatusOr<uint64_t> DecodeSequence(const rocksdb::Slice& bytes) {
  if (bytes.size() != 8) {
    return absl::DataLossError(
        absl::StrCat("id map: a sequence has ", bytes.size(), " bytes; 8 are needed"));
  }
  uint64_t sequence = 0;
  for (int i = 7; i >= 0; --i) sequence = sequence << 8 | static_cast<uint8_t>(bytes[i]);
  return sequence;
}

}  // namespace mrl::collection
