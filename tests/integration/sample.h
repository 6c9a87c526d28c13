// Small collections with fixed contents, built where a test asks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mrl {

inline constexpr uint32_t kSampleDim = 64;
inline constexpr uint32_t kSampleRows = 500;

// A folder that is removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Vector of row `row` in a collection of `seed`: fixed pseudo-random numbers.
std::vector<float> SampleVector(uint32_t seed, uint32_t row);

// Builds (or replaces) a COSINE collection with ladder 16,32,64 at `path`; ids are the strings
// "p0", "p1", …; payloads {"text":"point 0"}, ….
void BuildSample(const std::string& path, uint32_t seed, uint32_t rows = kSampleRows);

// Flips one bit in the header of the largest segment below `path`.
void Damage(const std::string& path);

}  // namespace mrl
