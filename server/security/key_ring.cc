#include "server/security/key_ring.h"

#include <openssl/rand.h>

#include <algorithm>
#include <set>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "server/yaml_limit.h"

namespace mrl::server {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;
constexpr double kLimitMax = 1e9;

bool IsId(const std::string& id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

absl::Status SetRole(const std::string& text, Key* key) {
  for (const Role role : {Role::kRead, Role::kWrite, Role::kAdmin}) {
    if (text != Name(role)) continue;
    key->role = role;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("role is '", text, "'; one of read, write, admin is needed"));
}

absl::Status SetCollections(const YAML::Node& node, Key* key) {
  if (!node.IsSequence() || node.size() == 0) {
    return absl::InvalidArgumentError(
        "collections needs a list of names; without it the key opens all");
  }
  for (const auto& name : node) key->collections.push_back(name.as<std::string>());
  return absl::OkStatus();
}

absl::Status SetField(const std::string& name, const YAML::Node& node, Key* key) {
  if (name == "collections") return SetCollections(node, key);
  if (!node.IsScalar()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " needs a single value"));
  }
  const auto text = node.as<std::string>();
  if (name == "role") return SetRole(text, key);
  if (name == "requests-per-s") return ReadLimit(name, text, kLimitMax, &key->requests_per_s);
  if (name == "burst") return ReadLimit(name, text, kLimitMax, &key->burst);
  if (name == "in-flight-max") return ReadLimit(name, text, kLimitMax, &key->in_flight_max);
  if (name == "hash") {
    MRL_ASSIGN_OR_RETURN(key->hash, ParseKeyHash(text));
    return absl::OkStatus();
  }
  if (name != "id") {
    return absl::InvalidArgumentError(absl::StrCat("unknown field '", name,
                                                   "'; known: id, role, hash, collections, "
                                                   "requests-per-s, burst, in-flight-max"));
  }
  key->id = text;
  if (IsId(text)) return absl::OkStatus();
  return absl::InvalidArgumentError("id has 1 to 64 of a-z, 0-9, - and _");
}

absl::StatusOr<Key> ReadKey(const YAML::Node& node) {
  if (!node.IsMap()) return absl::InvalidArgumentError("a map with id, role and hash is needed");
  Key key;
  std::set<std::string> seen;
  for (const auto& field : node) {
    const auto name = field.first.as<std::string>();
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat("field '", name, "' comes twice"));
    }
    MRL_RETURN_IF_ERROR(SetField(name, field.second, &key));
  }
  for (const char* needed : {"id", "role", "hash"}) {
    if (seen.count(needed) == 0) {
      return absl::InvalidArgumentError(absl::StrCat("field '", needed, "' is missing"));
    }
  }
  return key;
}

absl::StatusOr<std::vector<std::shared_ptr<const Key>>> ReadKeys(const YAML::Node& root) {
  if (!root.IsMap() || root.size() != 1 || !root["keys"] || !root["keys"].IsSequence()) {
    return absl::InvalidArgumentError("a map with the one list 'keys' is needed");
  }
  const YAML::Node& list = root["keys"];
  if (list.size() == 0 || list.size() > KeyRing::kKeysMax) {
    return absl::InvalidArgumentError(absl::StrCat("keys has ", list.size(), " entries; 1 to ",
                                                   KeyRing::kKeysMax, " are accepted"));
  }
  std::vector<std::shared_ptr<const Key>> keys;
  for (const auto& node : list) {
    auto key = ReadKey(node);
    if (!key.ok()) return Annotate(key.status(), absl::StrCat("key ", keys.size() + 1));
    keys.push_back(std::make_shared<const Key>(*std::move(key)));
  }
  return keys;
}

}  // namespace

bool Key::MaySee(absl::string_view collection) const {
  return collections.empty() ||
         std::find(collections.begin(), collections.end(), collection) != collections.end();
}

KeyRing::KeyRing() : memory_salt_(32, '\0') {
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(memory_salt_.data()),
                   static_cast<int>(memory_salt_.size())) == 1);
}

absl::StatusOr<std::shared_ptr<const KeyRing>> KeyRing::Parse(const std::string& text,
                                                              const std::string& path) {
  // yaml-cpp reports by exceptions; they end here, and their texts too, which may quote a line.
  try {
    auto keys = ReadKeys(YAML::Load(text));
    if (!keys.ok()) return Annotate(keys.status(), path);
    std::shared_ptr<KeyRing> ring(new KeyRing);
    ring->keys_ = *std::move(keys);
    return std::shared_ptr<const KeyRing>(std::move(ring));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.mark.line + 1, ": this is not the YAML of a keys file"));
  }
}

absl::StatusOr<std::shared_ptr<const KeyRing>> KeyRing::Load(FileSystem& files,
                                                             const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const std::string text, ReadFile(files, path, kFileBytesMax));
  return Parse(text, path);
}

std::shared_ptr<const Key> KeyRing::Find(absl::string_view key) const {
  if (key.size() < kKeyBytesMin || key.size() > kKeyBytesMax) return nullptr;
  const Digest remembered = Sha256(memory_salt_, key);
  {
    absl::MutexLock lock(&mutex_);
    if (const auto found = found_.find(remembered); found != found_.end()) return found->second;
  }
  std::shared_ptr<const Key> opened = Compare(key);
  if (opened != nullptr) {
    absl::MutexLock lock(&mutex_);
    found_[remembered] = opened;
  }
  return opened;
}

std::shared_ptr<const Key> KeyRing::Compare(absl::string_view key) const {
  std::shared_ptr<const Key> opened;
  for (const auto& candidate : keys_) {
    if (Equal(Sha256(candidate->hash.salt, key), candidate->hash.digest)) opened = candidate;
  }
  return opened;
}

}  // namespace mrl::server
