#include "base/utf8.h"

#include <cstddef>
#include <cstdint>

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

// Bytes of the character that `text`, which is not empty, begins with; 0 when it does not.
size_t FirstCharacterBytes(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const size_t bytes = CharacterBytes(byte(0));
  if (bytes == 0 || bytes > text.size()) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return bytes > 1 && !SecondFits(byte(0), byte(1)) ? 0 : bytes;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t bytes = FirstCharacterBytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string ToUtf8(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t bytes = FirstCharacterBytes(text);
    if (bytes == 0) {
      out.push_back('?');
      text.remove_prefix(1);
      continue;
    }
    out.append(text.data(), bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace mrl
