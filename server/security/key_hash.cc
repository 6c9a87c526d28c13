#include "server/security/key_hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace mrl::server {
namespace {

constexpr size_t kSaltBytes = 16;

bool IsHex(absl::string_view text, size_t bytes) {
  if (text.size() != 2 * bytes) return false;
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace

Digest Sha256(absl::string_view salt, absl::string_view text) {
  // The algorithm is looked up once: the lookup takes longer than the hash.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Digest digest;
  CHECK(EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  CHECK(EVP_DigestUpdate(context.get(), salt.data(), salt.size()) == 1);
  CHECK(EVP_DigestUpdate(context.get(), text.data(), text.size()) == 1);
  CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return digest;
}

bool Equal(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

absl::StatusOr<std::string> HashKey(absl::string_view key) {
  if (key.size() < kKeyBytesMin || key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("the key has ", key.size(), " bytes; ",
                                                   kKeyBytesMin, " to ", kKeyBytesMax,
                                                   " are accepted"));
  }
  for (const char c : key) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError(
          "the key has a space or a byte that is not printable ASCII");
    }
  }
  std::string salt(kSaltBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), kSaltBytes) != 1) {
    return absl::InternalError("no random bytes for the salt");
  }
  const Digest digest = Sha256(salt, key);
  return absl::StrCat("sha256:", absl::BytesToHexString(salt), ":",
                      absl::BytesToHexString(absl::string_view(
                          reinterpret_cast<const char*>(digest.data()), digest.size())));
}

absl::StatusOr<KeyHash> ParseKeyHash(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() != 3 || parts[0] != "sha256" || !IsHex(parts[1], kSaltBytes) ||
      !IsHex(parts[2], sizeof(Digest))) {
    return absl::InvalidArgumentError(
        "a hash is sha256:SALT:DIGEST as mrl-server --hash-key prints it");
  }
  KeyHash hash;
  hash.salt = absl::HexStringToBytes(parts[1]);
  const std::string digest = absl::HexStringToBytes(parts[2]);
  std::copy(digest.begin(), digest.end(), hash.digest.begin());
  return hash;
}

}  // namespace mrl::server
