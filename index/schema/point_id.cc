#include "index/schema/point_id.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace mrl {
namespace {

// Bytes of the character that `first` begins, 0 where none can.
size_t CharacterBytes(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

// Whether overlong forms, surrogates or what is above U+10FFFF could follow `first`.
bool SecondFits(uint8_t first, uint8_t second) {
  if (first == 0xe0) return second >= 0xa0;
  if (first == 0xed) return second <= 0x9f;
  if (first == 0xf0) return second >= 0x90;
  if (first == 0xf4) return second <= 0x8f;
  return true;
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const size_t bytes = CharacterBytes(byte(0));
    if (bytes == 0 || bytes > text.size()) return false;
    for (size_t i = 1; i < bytes; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return false;
    }
    if (bytes > 1 && !SecondFits(byte(0), byte(1))) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace

absl::Status PointId::Validate() const {
  if (is_number()) return absl::OkStatus();
  if (text().empty()) return absl::InvalidArgumentError("a point's id is the empty string");
  if (text().size() > kBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("id '", absl::CHexEscape(text().substr(0, 32)),
                                                   "…' has ", text().size(),
                                                   " bytes; the limit is ", kBytesMax));
  }
  // Answers carry ids as strings of Protobuf, which are UTF-8.
  if (!IsUtf8(text())) {
    return absl::InvalidArgumentError(
        absl::StrCat("id '", absl::CHexEscape(text()), "' is not UTF-8"));
  }
  return absl::OkStatus();
}

std::string PointId::ToString() const { return is_number() ? absl::StrCat(number()) : text(); }

std::strong_ordering PointId::operator<=>(const PointId& other) const {
  if (is_number() != other.is_number()) {
    return is_number() ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (is_number()) return number() <=> other.number();
  const int order = text().compare(other.text());
  return order <=> 0;
}

}  // namespace mrl
