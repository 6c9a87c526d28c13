// A snapshot as a stream of bytes and back: MAGIC, u64 bytes of the list, u64 checksum of it, the
// list, then every file of it, end to end.
#include <rocksdb/env.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/checksum.h"
#include "base/status.h"
#include "index/collection/collection.h"
#include "index/collection/layout.h"
#include "index/collection/snapshot.h"
#include "index/format/section_file.h"

namespace mrl::collection {
namespace {

constexpr absl::string_view kMagic = "MRLSNAP1";
constexpr size_t kPrefixBytes = 24;  // magic and two numbers

void PutNumber(uint64_t number, std::string* out) {
  for (int i = 0; i < 8; ++i) out->push_back(static_cast<char>(number >> (8 * i)));
}
uint64_t GetNumber(absl::string_view bytes) {
  uint64_t number = 0;
  for (int i = 7; i >= 0; --i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

}  // namespace

ArchiveReader::ArchiveReader(FileSystem& files, std::string folder, Snapshot snapshot)
    : files_(files), folder_(std::move(folder)), snapshot_(std::move(snapshot)) {
  const std::string list = snapshot_.Serialize();
  head_ = std::string(kMagic);
  PutNumber(list.size(), &head_);
  PutNumber(Checksum(list.data(), list.size()), &head_);
  head_ += list;
}

absl::StatusOr<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(FileSystem& files,
                                                                   const std::string& folder) {
  MRL_ASSIGN_OR_RETURN(Snapshot snapshot, ReadSnapshot(files, folder));
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(files, folder, std::move(snapshot)));
}

absl::StatusOr<std::string> ArchiveReader::Next(size_t bytes_max) {
  std::string out = head_.substr(0, bytes_max);
  head_.erase(0, out.size());
  while (out.size() < bytes_max && next_file_ < snapshot_.files.size()) {
    const Snapshot::File& listed = snapshot_.files[next_file_];
    if (file_ == nullptr) {
      MRL_ASSIGN_OR_RETURN(file_, files_.Open(JoinPath(folder_, listed.name)));
      offset_ = 0;
      if (file_->size() != listed.bytes) {
        return absl::DataLossError(absl::StrCat(folder_, "/", listed.name, ": the file has ",
                                                file_->size(), " bytes; ", listed.bytes,
                                                " are in the snapshot's list"));
      }
    }
    const size_t count = std::min<uint64_t>(bytes_max - out.size(), listed.bytes - offset_);
    const size_t at = out.size();
    out.resize(at + count);
    MRL_RETURN_IF_ERROR(file_->ReadAt(
        offset_, absl::MakeSpan(reinterpret_cast<std::byte*>(out.data() + at), count)));
    offset_ += count;
    if (offset_ == listed.bytes) {
      file_.reset();
      ++next_file_;
    }
  }
  return out;
}

ArchiveWriter::ArchiveWriter(FileSystem& files, std::string folder, uint64_t bytes_max)
    : files_(files),
      folder_(std::move(folder)),
      temporary_(absl::StrCat(folder_, ".tmp-", format::NewUuid().substr(0, 8))),
      bytes_max_(bytes_max) {}

ArchiveWriter::~ArchiveWriter() {
  file_.reset();
  if (!complete_) files_.RemoveTree(temporary_).IgnoreError();
}

absl::Status ArchiveWriter::Append(absl::string_view bytes) {
  if (!has_list_) {
    const size_t wanted = head_.size() < kPrefixBytes
                              ? kPrefixBytes
                              : kPrefixBytes + GetNumber(absl::string_view(head_).substr(8));
    const size_t count = std::min(bytes.size(), wanted - head_.size());
    head_.append(bytes.data(), count);
    bytes.remove_prefix(count);
    if (head_.size() < kPrefixBytes) return absl::OkStatus();
    MRL_RETURN_IF_ERROR(ReadHead());
    if (!has_list_) return bytes.empty() ? absl::OkStatus() : Append(bytes);
  }
  return AppendToFiles(bytes);
}

absl::Status ArchiveWriter::ReadHead() {
  const absl::string_view head = head_;
  if (head.substr(0, kMagic.size()) != kMagic) {
    return absl::InvalidArgumentError("the bytes are no snapshot of mrl: they do not begin as one");
  }
  const uint64_t list_bytes = GetNumber(head.substr(8));
  if (list_bytes > Snapshot::kListBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "snapshot: the list has ", list_bytes, " bytes; the limit is ", Snapshot::kListBytesMax));
  }
  if (head.size() < kPrefixBytes + list_bytes) return absl::OkStatus();
  const std::string list(head.substr(kPrefixBytes));
  if (Checksum(list.data(), list.size()) != GetNumber(head.substr(16))) {
    return absl::InvalidArgumentError("snapshot: the list's checksum is another");
  }
  MRL_ASSIGN_OR_RETURN(snapshot_, Snapshot::Parse(list));
  const uint64_t bytes = snapshot_.bytes();
  if (bytes > bytes_max_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("snapshot: its files have ", bytes, " bytes; ", bytes_max_, " are allowed"));
  }
  has_list_ = true;
  for (const std::string& made : {temporary_, SegmentsPath(temporary_), DatabasePath(temporary_)}) {
    MRL_RETURN_IF_ERROR(files_.CreateDirectory(made));
  }
  return OpenNext();
}

absl::Status ArchiveWriter::OpenNext() {
  if (next_file_ == snapshot_.files.size()) return Finish();
  offset_ = 0;
  MRL_ASSIGN_OR_RETURN(file_,
                       files_.Create(JoinPath(temporary_, snapshot_.files[next_file_].name)));
  return absl::OkStatus();
}

absl::Status ArchiveWriter::AppendToFiles(absl::string_view bytes) {
  while (true) {
    if (complete_) {
      if (bytes.empty()) return absl::OkStatus();
      complete_ = false;
      files_.RemoveTree(folder_).IgnoreError();
      return absl::InvalidArgumentError(
          absl::StrCat("snapshot: ", bytes.size(), " bytes come behind its end"));
    }
    const uint64_t left = snapshot_.files[next_file_].bytes - offset_;
    const size_t count = std::min<uint64_t>(left, bytes.size());
    if (count > 0) {
      MRL_RETURN_IF_ERROR(file_->WriteAt(
          offset_, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(bytes.data()), count)));
      offset_ += count;
      bytes.remove_prefix(count);
    }
    if (count < left) return absl::OkStatus();
    MRL_RETURN_IF_ERROR(file_->Sync());
    MRL_RETURN_IF_ERROR(file_->Close());
    file_.reset();
    ++next_file_;
    MRL_RETURN_IF_ERROR(OpenNext());
  }
}

absl::Status ArchiveWriter::Finish() {
  const auto as_sent = [](const absl::Status& status) {
    // What came is damaged, nothing of ours is.
    return absl::IsDataLoss(status) || absl::IsNotFound(status)
               ? absl::InvalidArgumentError(absl::StrCat("snapshot: ", status.message()))
               : status;
  };
  MRL_RETURN_IF_ERROR(as_sent(CheckSnapshot(files_, temporary_, snapshot_)));
  MRL_RETURN_IF_ERROR(as_sent(Verify(files_, temporary_, {})));
  MRL_RETURN_IF_ERROR(WriteSnapshotList(files_, temporary_, snapshot_));
  MRL_RETURN_IF_ERROR(files_.Rename(temporary_, folder_));
  MRL_RETURN_IF_ERROR(files_.SyncDirectory(ParentPath(folder_)));
  complete_ = true;
  return absl::OkStatus();
}

}  // namespace mrl::collection
