// Salted hashes of API keys: what the keys file holds instead of the keys.
//
// A key is long and random, so one round of SHA-256 is as good as many; keys that could be guessed
// are refused when their hash is made.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mrl::server {

using Digest = std::array<uint8_t, 32>;

// SHA-256 of `salt` followed by `text`.
Digest Sha256(absl::string_view salt, absl::string_view text);
// In constant time.
bool Equal(const Digest& a, const Digest& b);

struct KeyHash {
  std::string salt;  // raw bytes
  Digest digest{};
};

inline constexpr size_t kKeyBytesMin = 32;
inline constexpr size_t kKeyBytesMax = 256;

// `sha256:SALT:DIGEST` with a fresh random salt, for the keys file. INVALID_ARGUMENT for a key that
// is too short, too long, or has other than printable ASCII without spaces; the message does not
// repeat it.
absl::StatusOr<std::string> HashKey(absl::string_view key);
// The reverse of the text form. INVALID_ARGUMENT.
absl::StatusOr<KeyHash> ParseKeyHash(absl::string_view text);

}  // namespace mrl::server
