// A point's id: an unsigned 64-bit number or a string of 1 to 256 bytes in UTF-8.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"

namespace mrl {

// Ordered numbers before strings, strings bytewise: the order in which equal scores are listed.
class PointId {
 public:
  static constexpr size_t kBytesMax = 256;

  PointId() = default;
  explicit PointId(uint64_t number) : value_(number) {}
  explicit PointId(std::string text) : value_(std::move(text)) {}

  bool is_number() const { return std::holds_alternative<uint64_t>(value_); }
  uint64_t number() const { return std::get<uint64_t>(value_); }             // is_number() only
  const std::string& text() const { return std::get<std::string>(value_); }  // !is_number() only

  // INVALID_ARGUMENT for an empty string, one longer than kBytesMax, or one that is not UTF-8.
  absl::Status Validate() const;
  // The number in decimal, or the string itself.
  std::string ToString() const;

  bool operator==(const PointId&) const = default;
  std::strong_ordering operator<=>(const PointId& other) const;

 private:
  std::variant<uint64_t, std::string> value_ = uint64_t{0};
};

}  // namespace mrl
