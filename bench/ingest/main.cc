// What RocksDB alone takes for the bytes of an ingest: the floor that bench/ingest.py sets mrl
// against.
//
//   mrl-ingest-floor DIR ROWS ROW_BYTES BATCH SYNC(0|1)
//
// Writes ROWS values of ROW_BYTES with 8-byte keys, BATCH of them in one WriteBatch, each batch
// synced if SYNC is 1, with the options that mrl's tail has: blob files, and the log. Prints rows a
// second.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

namespace {

struct Arguments {
  std::string folder;
  uint64_t rows = 0;
  size_t row_bytes = 0;
  uint64_t batch = 0;
  bool sync = false;
};

std::string Key(uint64_t number) {
  std::string key(8, '\0');
  for (int i = 0; i < 8; ++i) key[i] = static_cast<char>(number >> (8 * (7 - i)));
  return key;
}

rocksdb::Status Write(rocksdb::DB& db, const Arguments& arguments) {
  std::mt19937_64 random(1);
  std::string value(arguments.row_bytes, '\0');
  for (char& byte : value) byte = static_cast<char>(random());
  rocksdb::WriteOptions options;
  options.sync = arguments.sync;
  for (uint64_t row = 0; row < arguments.rows;) {
    rocksdb::WriteBatch batch;
    for (uint64_t i = 0; i < arguments.batch && row < arguments.rows; ++i, ++row) {
      const rocksdb::Status put = batch.Put(Key(row), value);
      if (!put.ok()) return put;
    }
    const rocksdb::Status written = db.Write(options, &batch);
    if (!written.ok()) return written;
  }
  return db.FlushWAL(/*sync=*/true);
}

int Run(const Arguments& arguments) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.write_buffer_size = 16 << 20;
  options.enable_blob_files = true;
  options.min_blob_size = 256;
  rocksdb::DB* opened = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(options, arguments.folder, &opened);
  const std::unique_ptr<rocksdb::DB> db(opened);
  const auto begin = std::chrono::steady_clock::now();
  if (status.ok()) status = Write(*db, arguments);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  if (!status.ok()) {
    std::fprintf(stderr, "mrl-ingest-floor: %s\n", status.ToString().c_str());
    return 1;
  }
  std::printf("%.1f\n", static_cast<double>(arguments.rows) / spent.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: mrl-ingest-floor DIR ROWS ROW_BYTES BATCH SYNC\n");
    return 2;
  }
  Arguments arguments;
  arguments.folder = argv[1];
  arguments.rows = std::strtoull(argv[2], nullptr, 10);
  arguments.row_bytes = std::strtoull(argv[3], nullptr, 10);
  arguments.batch = std::strtoull(argv[4], nullptr, 10);
  arguments.sync = std::string(argv[5]) == "1";
  if (arguments.rows == 0 || arguments.row_bytes == 0 || arguments.batch == 0) {
    std::fprintf(stderr, "mrl-ingest-floor: ROWS, ROW_BYTES and BATCH are at least 1\n");
    return 2;
  }
  return Run(arguments);
}
