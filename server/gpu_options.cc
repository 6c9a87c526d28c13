#include "server/gpu_options.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace mrl::server {

absl::StatusOr<coarse::gpu::GpuOptions> GpuOptionsOf(const Config& config) {
  coarse::gpu::GpuOptions options;
  MRL_ASSIGN_OR_RETURN(options.mode, coarse::gpu::ParseGpuMode(config.gpu));
  options.memory_bytes = static_cast<uint64_t>(config.gpu_memory_bytes);
  options.float16 = config.gpu_float16;
  options.replicas = static_cast<uint32_t>(config.gpu_replicas);
  const std::vector<std::string> numbers =
      absl::StrSplit(config.gpu_devices, ',', absl::SkipWhitespace());
  for (const std::string& text : numbers) {
    int number = 0;
    if (!absl::SimpleAtoi(text, &number) || number < 0) {
      return absl::InvalidArgumentError(absl::StrCat("gpu-devices is '", config.gpu_devices,
                                                     "'; numbers with commas between are needed"));
    }
    if (std::find(options.devices.begin(), options.devices.end(), number) !=
        options.devices.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("gpu-devices is '", config.gpu_devices, "'; ", number, " comes twice"));
    }
    options.devices.push_back(number);
  }
  return options;
}

}  // namespace mrl::server
