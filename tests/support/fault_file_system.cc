#include "tests/support/fault_file_system.h"

#include <utility>

#include "base/status.h"

namespace mrl::test {

class FaultFileSystem::File final : public WritableFile {
 public:
  File(FaultFileSystem& files, std::unique_ptr<WritableFile> base)
      : files_(files), base_(std::move(base)) {}

  absl::Status WriteAt(uint64_t offset, absl::Span<const std::byte> data) override {
    MRL_RETURN_IF_ERROR(files_.Count(Needs::kSpace));
    return base_->WriteAt(offset, data);
  }
  absl::Status Sync() override {
    MRL_RETURN_IF_ERROR(files_.Count(Needs::kNothing));
    return base_->Sync();
  }
  absl::Status Close() override {
    MRL_RETURN_IF_ERROR(files_.Count(Needs::kNothing));
    return base_->Close();
  }

 private:
  FaultFileSystem& files_;
  const std::unique_ptr<WritableFile> base_;
};

void FaultFileSystem::FailAt(uint64_t n, absl::Status error) {
  fail_at_ = n;
  error_ = std::move(error);
}

void FaultFileSystem::FillDiskAt(uint64_t n) { full_at_ = n; }

absl::Status FaultFileSystem::Count(Needs needs) {
  ++operations_;
  if (operations_ == fail_at_) return error_;
  if (full_at_ != 0 && operations_ >= full_at_ && needs == Needs::kSpace) {
    return absl::ResourceExhaustedError("No space left on device");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ReadableFile>> FaultFileSystem::Open(const std::string& path) {
  MRL_RETURN_IF_ERROR(Count(Needs::kNothing));
  return base_.Open(path);
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultFileSystem::Create(const std::string& path) {
  MRL_RETURN_IF_ERROR(Count(Needs::kSpace));
  MRL_ASSIGN_OR_RETURN(auto file, base_.Create(path));
  return std::make_unique<File>(*this, std::move(file));
}

absl::Status FaultFileSystem::Rename(const std::string& from, const std::string& to) {
  MRL_RETURN_IF_ERROR(Count(Needs::kNothing));
  return base_.Rename(from, to);
}

absl::Status FaultFileSystem::Exchange(const std::string& a, const std::string& b) {
  MRL_RETURN_IF_ERROR(Count(Needs::kNothing));
  return base_.Exchange(a, b);
}

absl::Status FaultFileSystem::CreateDirectory(const std::string& path) {
  MRL_RETURN_IF_ERROR(Count(Needs::kSpace));
  return base_.CreateDirectory(path);
}

absl::Status FaultFileSystem::SyncDirectory(const std::string& path) {
  MRL_RETURN_IF_ERROR(Count(Needs::kNothing));
  return base_.SyncDirectory(path);
}

}  // namespace mrl::test
