// A segment where a device can read it: codes, norms and levels.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/coarse/gpu/runtime.h"
#include "index/coarse/scan_index.h"

namespace mrl::coarse::gpu {

// Thread-safe: constant once it is loaded. Outlived by its device and the scan index.
class DeviceSegment {
 public:
  // Copies the codes, then the norms, then level after level while the device's account has more
  // than its batch_bytes left. Levels that do not fit are mapped: they stay in the host's memory,
  // pinned, and the device reads single rows of them through the bus. Where that is refused too,
  // the stages that need them are left to the CPU, as are those of cold levels and of storage bf16
  // and int8; and all of them where the device lacks memory for the norms.
  // RESOURCE_EXHAUSTED when not even the codes fit, UNAVAILABLE after a fault.
  static absl::StatusOr<std::unique_ptr<const DeviceSegment>> Load(Device& device,
                                                                   const ScanIndex& scan);

  Device& device() const { return device_; }
  const ScanIndex& scan() const { return scan_; }
  const store::Segment& segment() const { return *scan_.segment(); }
  uint32_t rows() const { return segment().rows(); }

  // The codes that serve `code`; null when there are none.
  const Codes* Find(Code code) const;
  // Levels that the device can read: those from 0 to levels() - 1.
  uint32_t levels() const { return level_count_; }
  const DeviceLevel* level_table() const { return level_table_.As<DeviceLevel>(); }
  const float* inverse_norms() const { return norms_.As<float>(); }

  uint64_t device_bytes() const { return device_bytes_; }
  uint64_t mapped_bytes() const { return mapped_bytes_; }
  // "812 MiB on 0: NVIDIA H100, levels to 256 dims there, to 1024 dims from the host"
  std::string Describe() const;
  // Differs from that of every other segment of this device, gone ones too.
  uint64_t serial() const { return serial_; }

 private:
  struct Coded {
    Code code;
    Codes codes;
    std::vector<Memory> memory;
  };
  DeviceSegment(Device& device, const ScanIndex& scan);
  absl::Status LoadCodes();
  absl::Status LoadInt8(const CodeArray& array);
  absl::Status LoadBits(const BitArray& array);
  absl::Status LoadLevels();
  absl::Status LoadNorms();
  void DropLevels();
  absl::StatusOr<Memory> Copy(const void* host, size_t bytes, absl::string_view what);
  // RESOURCE_EXHAUSTED where the part for batches would be touched.
  absl::StatusOr<Memory> CopyIfRoom(const void* host, size_t bytes, absl::string_view what);

  Device& device_;
  const ScanIndex& scan_;
  const uint64_t serial_;
  std::vector<Coded> coded_;
  std::vector<Memory> level_memory_;  // on the device or mapped
  Memory level_table_;
  Memory norms_;
  uint32_t level_count_ = 0;
  uint32_t levels_on_device_ = 0;
  uint64_t device_bytes_ = 0;
  uint64_t mapped_bytes_ = 0;
};

}  // namespace mrl::coarse::gpu
