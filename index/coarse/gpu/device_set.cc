#include "index/coarse/gpu/device_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"

namespace mrl::coarse::gpu {
absl::StatusOr<GpuMode> ParseGpuMode(absl::string_view text) {
  for (const GpuMode mode : {GpuMode::kOff, GpuMode::kAuto, GpuMode::kRequire}) {
    if (text == ToString(mode)) return mode;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("gpu is `", text, "`, these are known: off, auto, require"));
}

absl::string_view ToString(GpuMode mode) {
  switch (mode) {
    case GpuMode::kOff:
      return "off";
    case GpuMode::kAuto:
      return "auto";
    case GpuMode::kRequire:
      return "require";
  }
  return "off";
}

absl::StatusOr<std::shared_ptr<DeviceSet>> DeviceSet::Open(const GpuOptions& options) {
  CudaDevices found = {.devices = {}, .why_not = "gpu is off"};
  if (options.mode != GpuMode::kOff) {
    MRL_ASSIGN_OR_RETURN(found, OpenCudaDevices(options));
  }
  return Of(std::move(found), options);
}

absl::StatusOr<std::shared_ptr<DeviceSet>> DeviceSet::Of(CudaDevices found,
                                                         const GpuOptions& options) {
  if (options.mode == GpuMode::kRequire && (found.devices.empty() || !found.why_not.empty())) {
    return absl::FailedPreconditionError(
        absl::StrCat(found.devices.empty() ? "gpu: a device is required, but "
                                           : "gpu: every device that is named is required, but ",
                     found.why_not));
  }
  return std::make_shared<DeviceSet>(std::move(found.devices), options, std::move(found.why_not));
}

DeviceSet::DeviceSet(std::vector<std::unique_ptr<Device>> devices, const GpuOptions& options,
                     std::string why_not)
    : options_(options), why_not_(std::move(why_not)), devices_(std::move(devices)) {
  for (const auto& device : devices_) {
    device->WarnBy(options.warn);
    pools_.push_back(
        std::make_unique<WorkspacePool>(*device, std::max<uint32_t>(1, options.batches)));
  }
  UseFaiss(FaissOfDevices());
}

std::string DeviceSet::report() const {
  if (devices_.empty()) return absl::StrCat("none: ", why_not_);
  std::vector<std::string> parts;
  for (const auto& device : devices_) {
    const std::string fault = device->fault();
    parts.push_back(fault.empty() ? device->name()
                                  : absl::StrCat(device->name(), ", lost: ", fault));
  }
  if (!why_not_.empty()) parts.push_back(absl::StrCat("left out: ", why_not_));
  return absl::StrJoin(parts, "; ");
}

uint64_t DeviceSet::used_bytes() const {
  uint64_t bytes = 0;
  for (const auto& device : devices_) bytes += device->account().used_bytes();
  return bytes;
}

uint64_t DeviceSet::limit_bytes() const {
  uint64_t bytes = 0;
  for (const auto& device : devices_) bytes += device->account().limit_bytes();
  return bytes;
}

absl::string_view DeviceSet::KindFor(absl::string_view built) const {
  if (options_.mode == GpuMode::kOff) return "";
  return built == "scan" ? "gpu_scan" : built == "faiss" ? "faiss_gpu" : "";
}

absl::StatusOr<std::shared_ptr<const CoarseIndex>> DeviceSet::Make(
    std::shared_ptr<const CoarseIndex> built) {
  return built->kind() == "faiss" ? MakeFaiss(std::move(built)) : MakeScan(std::move(built));
}

void DeviceSet::UseFaiss(const MakeFaissResources& make) {
  faiss_.clear();
  for (const auto& device : devices_) {
    faiss_.push_back(std::make_unique<FaissDevice>(*device, make));
  }
}

std::vector<size_t> DeviceSet::ByRoom() const {
  std::vector<size_t> order;
  for (size_t number = 0; number < devices_.size(); ++number) {
    if (!devices_[number]->lost()) order.push_back(number);
  }
  const auto room = [this](size_t number) {
    const MemoryAccount& account = devices_[number]->account();
    return account.limit_bytes() - account.used_bytes();
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return room(a) > room(b); });
  return order;
}

absl::Status DeviceSet::NoDevice() const {
  if (devices_.empty()) return absl::FailedPreconditionError(absl::StrCat("gpu: ", why_not_));
  return devices_.front()->CheckLost();
}

template <typename Index, typename Built>
std::shared_ptr<Index> DeviceSet::MakeOnDevices(
    std::shared_ptr<const CoarseIndex> built, const Built* of,
    absl::StatusOr<std::vector<typename Index::Copy>> copies) {
  auto made = std::make_shared<Index>(std::move(built), *of, required(),
                                      std::string(copies.status().message()));
  if (copies.ok()) {
    made->Place(*std::move(copies));
  } else {
    TryAgain(copies.status(), [this, of, weak = std::weak_ptr<Index>(made)] {
      const auto index = weak.lock();
      if (index == nullptr) return true;
      auto later = Copy(*of);
      if (!later.ok()) return false;
      index->Place(*std::move(later));
      return true;
    });
  }
  return made;
}

absl::StatusOr<std::shared_ptr<const CoarseIndex>> DeviceSet::MakeScan(
    std::shared_ptr<const CoarseIndex> scan) {
  const auto* codes = dynamic_cast<const ScanIndex*>(scan.get());
  if (codes == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("gpu_scan: needs an index of the kind scan, not ", scan->kind()));
  }
  absl::StatusOr<std::vector<GpuScan::Copy>> copies = Copy(*codes);
  if (!copies.ok() && required()) return copies.status();
  return MakeOnDevices<GpuScan>(std::move(scan), codes, std::move(copies));
}

absl::StatusOr<std::vector<GpuScan::Copy>> DeviceSet::Copy(const ScanIndex& codes) {
  std::vector<GpuScan::Copy> copies;
  absl::Status refused = NoDevice();
  for (const size_t number : ByRoom()) {
    if (copies.size() >= std::max<uint32_t>(1, options_.replicas)) break;
    Device& device = *devices_[number];
    auto loaded = DeviceSegment::Load(device, codes);
    if (loaded.ok()) {
      copies.push_back({*std::move(loaded), pools_[number].get()});
    } else {
      refused = loaded.status();
      device.Note(refused);
    }
  }
  if (copies.empty()) return refused;
  return copies;
}

uint64_t DeviceSet::given_back() const {
  uint64_t all = 0;
  for (const auto& device : devices_) all += device->given_back();
  return all;
}

void DeviceSet::TryAgain(const absl::Status& refused, std::function<bool()> attempt) {
  if (!absl::IsResourceExhausted(refused)) return;
  const absl::MutexLock lock(&mutex_);
  attempts_.push_back(std::move(attempt));
}

void DeviceSet::PlaceAgain() {
  std::vector<std::function<bool()>> attempts;
  {
    const absl::MutexLock lock(&mutex_);
    const uint64_t now = given_back();  // what is given back later is for the next call
    if (now == given_back_) return;
    given_back_ = now;
    attempts.swap(attempts_);
  }
  std::erase_if(attempts, [](const auto& attempt) { return attempt(); });
  const absl::MutexLock lock(&mutex_);
  std::move(attempts.begin(), attempts.end(), std::back_inserter(attempts_));
}

namespace {

// FAISS keeps a norm beside each row of Flat.
uint64_t DeviceBytes(const FaissIndex& index) {
  const bool flat = index.library().gpu_form() == FaissLibrary::GpuForm::kFlat;
  return index.memory_bytes() + (flat ? index.library().rows() * sizeof(float) : 0);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CoarseIndex>> DeviceSet::MakeFaiss(
    std::shared_ptr<const CoarseIndex> faiss) {
  const auto* index = dynamic_cast<const FaissIndex*>(faiss.get());
  if (index == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("faiss_gpu: needs an index of the kind faiss, not ", faiss->kind()));
  }
  absl::StatusOr<std::vector<FaissGpu::Copy>> copies = Copy(*index);
  if (!copies.ok() && required() && !absl::IsUnimplemented(copies.status())) {
    return copies.status();
  }
  return MakeOnDevices<FaissGpu>(std::move(faiss), index, std::move(copies));
}

absl::StatusOr<std::vector<FaissGpu::Copy>> DeviceSet::Copy(const FaissIndex& index) {
  const auto precision = options_.float16 ? FaissPrecision::kHalf : FaissPrecision::kFull;
  std::vector<FaissGpu::Copy> copies;
  absl::Status refused = NoDevice();
  for (const size_t number : ByRoom()) {
    if (copies.size() >= std::max<uint32_t>(1, options_.replicas)) break;
    auto runner = faiss_[number]->Copy(index.library(), DeviceBytes(index), precision);
    if (runner.ok()) {
      copies.push_back({*std::move(runner), faiss_[number].get()});
    } else {
      refused = runner.status();
    }
  }
  if (copies.empty()) return refused;
  return copies;
}

absl::StatusOr<std::unique_ptr<FaissRunner>> DeviceSet::Build(const FaissLibrary& empty,
                                                              uint64_t bytes) {
  const std::vector<size_t> order = ByRoom();
  if (order.empty()) return NoDevice();
  return faiss_[order.front()]->Copy(empty, bytes, FaissPrecision::kFull);
}

}  // namespace mrl::coarse::gpu
