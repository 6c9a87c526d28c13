// Hashes of keys, the keys file, and the gate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/error.h"
#include "server/security/gate.h"
#include "server/security/key_hash.h"
#include "server/security/key_ring.h"

namespace mrl::server {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kReader[] = "reader-0123456789abcdef0123456789abcdef";
constexpr char kWriter[] = "writer-0123456789abcdef0123456789abcdef";
constexpr char kAdmin[] = "admin--0123456789abcdef0123456789abcdef";

std::string HashOf(const std::string& key) {
  const auto hash = HashKey(key);
  EXPECT_TRUE(hash.ok()) << hash.status();
  return hash.value_or("");
}

std::shared_ptr<const KeyRing> Ring() {
  auto ring = KeyRing::Parse(
      absl::StrCat("keys:\n"
                   "- {id: reader, role: read, collections: [a, b], hash: '",
                   HashOf(kReader),
                   "'}\n"
                   "- {id: writer, role: write, requests-per-s: 5, burst: 7, in-flight-max: 9,",
                   " hash: '", HashOf(kWriter),
                   "'}\n"
                   "- {id: boss, role: admin, hash: '",
                   HashOf(kAdmin), "'}\n"),
      "keys.yaml");
  EXPECT_TRUE(ring.ok()) << ring.status();
  return ring.value_or(nullptr);
}

TEST(KeyHash, IsSaltedAndFitsItsKeyOnly) {
  const std::string text = HashOf(kReader);
  EXPECT_NE(text, HashOf(kReader)) << "the salt is fresh";
  EXPECT_THAT(text, Not(HasSubstr(kReader)));
  const auto hash = ParseKeyHash(text);
  ASSERT_TRUE(hash.ok()) << hash.status();
  EXPECT_TRUE(Equal(Sha256(hash->salt, kReader), hash->digest));
  EXPECT_FALSE(Equal(Sha256(hash->salt, kWriter), hash->digest));
}

TEST(KeyHash, IsSha256) {
  const Digest digest = Sha256("a", "bc");
  const uint8_t wanted[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
  EXPECT_TRUE(std::equal(std::begin(wanted), std::end(wanted), digest.begin()));
}

TEST(KeyHash, RefusesKeysThatCouldBeGuessedAndDoesNotRepeatThem) {
  const auto refused = HashKey("too-short-secret");
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.status().message(), "the key has 16 bytes; 32 to 256 are accepted");
  EXPECT_THAT(std::string(HashKey(std::string(40, ' ')).status().message()),
              HasSubstr("has a space"));
}

TEST(KeyHash, RefusesOtherForms) {
  for (const std::string text :
       {"", "sha256", "md5:00:00", "sha256:zz:zz", "sha256:00:00", "sha256:a:b:c"}) {
    EXPECT_EQ(ParseKeyHash(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(KeyRing, FindsTheEntryOfAKey) {
  const auto ring = Ring();
  for (int again = 0; again < 2; ++again) {
    const auto key = ring->Find(kWriter);
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(key->id, "writer");
    EXPECT_EQ(key->role, Role::kWrite);
    EXPECT_EQ(key->requests_per_s, 5);
    EXPECT_EQ(key->burst, 7);
    EXPECT_EQ(key->in_flight_max, 9);
  }
  EXPECT_EQ(ring->Find(absl::StrCat(kWriter, "x")), nullptr);
  EXPECT_EQ(ring->Find(""), nullptr);
}

TEST(KeyRing, TwoKeysOfOneIdAreBothValid) {
  const auto ring =
      KeyRing::Parse(absl::StrCat("keys:\n- {id: app, role: read, hash: '", HashOf(kReader), "'}\n",
                                  "- {id: app, role: read, hash: '", HashOf(kWriter), "'}\n"),
                     "keys.yaml");
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_EQ((*ring)->Find(kReader)->id, "app");
  EXPECT_EQ((*ring)->Find(kWriter)->id, "app");
}

TEST(KeyRing, SaysWhatIsWrongWithTheFileAndNoSecret) {
  const std::string hash = HashOf(kReader);
  const std::pair<std::string, std::string> cases[] = {
      {"", "keys.yaml: a map with the one list 'keys' is needed"},
      {"keys: []", "keys.yaml: keys has 0 entries; 1 to 1000 are accepted"},
      {"keys: [a]", "keys.yaml: key 1: a map with id, role and hash is needed"},
      {"keys: [{id: a, hash: '" + hash + "'}]", "key 1: field 'role' is missing"},
      {"keys: [{role: read, hash: '" + hash + "'}]", "key 1: field 'id' is missing"},
      {"keys: [{id: a, role: read}]", "key 1: field 'hash' is missing"},
      {"keys: [{id: A b, role: read, hash: '" + hash + "'}]", "key 1: id has 1 to 64 of"},
      {"keys: [{id: a, role: root, hash: x}]", "role is 'root'; one of read, write, admin"},
      {"keys: [{id: a, role: read, hash: '" + hash.substr(1) + "'}]", "a hash is sha256:SALT"},
      {"keys: [{id: a, role: read, key: x}]", "key 1: unknown field 'key'; known: id, role"},
      {"keys: [{id: a, collections: [], role: read}]", "collections needs a list of names"},
      {"keys: [{id: a, burst: -1}]", "burst is '-1'; a number above 0"},
      {"keys: [{id: a, burst: 0.5}]", "burst is '0.5'; 1 is the least"},
      {"keys: [{id: a, id: b}]", "key 1: field 'id' comes twice"},
      {"keys: [{id: [a]}]", "key 1: id needs a single value"},
      {"keys:\n- {hash: '" + hash, "keys.yaml:"},
  };
  for (const auto& [text, message] : cases) {
    const auto ring = KeyRing::Parse(text, "keys.yaml");
    EXPECT_EQ(ring.status().code(), StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(ring.status().message()), HasSubstr(message)) << text;
    EXPECT_THAT(std::string(ring.status().message()), Not(HasSubstr(hash.substr(8, 20)))) << text;
  }
}

class Gates : public ::testing::Test {
 protected:
  absl::Status Check(const char* method, const std::string& authorization,
                     const std::string& collection = "") {
    return gate_.Check(FindMethod(method), authorization, collection).status();
  }
  void ExpectRefused(const absl::Status& status, StatusCode code, const std::string& reason) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(ReasonOf(status), reason);
  }
  Gate gate_{Ring()};
};

TEST_F(Gates, ACallWithoutAKeyIsRefused) {
  ExpectRefused(Check("Search", "", "a"), StatusCode::kUnauthenticated, "KEY_NEEDED");
  ExpectRefused(Check("Search", kReader, "a"), StatusCode::kUnauthenticated, "KEY_NEEDED");
  ExpectRefused(Check("Search", absl::StrCat("Basic ", kReader), "a"), StatusCode::kUnauthenticated,
                "KEY_NEEDED");
}

TEST_F(Gates, AnUnknownKeyIsRefusedAndNotRepeated) {
  const std::string wrong(40, 'w');
  const absl::Status refused = Check("Search", "Bearer " + wrong, "a");
  ExpectRefused(refused, StatusCode::kUnauthenticated, "KEY_UNKNOWN");
  EXPECT_THAT(refused.ToString(), Not(HasSubstr("www")));
}

TEST_F(Gates, ARoleMayDoWhatThoseBelowItMay) {
  EXPECT_TRUE(Check("Search", absl::StrCat("Bearer ", kReader), "a").ok());
  EXPECT_TRUE(Check("Search", absl::StrCat("bearer ", kAdmin), "a").ok());
  ExpectRefused(Check("ReloadCollection", absl::StrCat("Bearer ", kWriter), "a"),
                StatusCode::kPermissionDenied, "ROLE_TOO_LOW");
  EXPECT_TRUE(Check("ReloadCollection", absl::StrCat("Bearer ", kAdmin), "a").ok());
}

TEST_F(Gates, AKeyOpensTheCollectionsItLists) {
  const std::string reader = absl::StrCat("Bearer ", kReader);
  EXPECT_TRUE(Check("Search", reader, "b").ok());
  ExpectRefused(Check("Search", reader, "c"), StatusCode::kPermissionDenied,
                "COLLECTION_NOT_LISTED");
  ExpectRefused(Check("Search", reader, ""), StatusCode::kPermissionDenied,
                "COLLECTION_NOT_LISTED");
  EXPECT_TRUE(Check("ListCollections", reader).ok());
}

TEST_F(Gates, AMethodWithoutAnEntryIsRefusedEvenToAdmins) {
  ExpectRefused(gate_.Check(nullptr, absl::StrCat("Bearer ", kAdmin), "").status(),
                StatusCode::kPermissionDenied, "METHOD_WITHOUT_RULE");
  Gate open(nullptr);
  ExpectRefused(open.Check(nullptr, "", "").status(), StatusCode::kPermissionDenied,
                "METHOD_WITHOUT_RULE");
}

TEST_F(Gates, NewKeysCountFromNowOn) {
  const std::string reader = absl::StrCat("Bearer ", kReader);
  EXPECT_TRUE(Check("Search", reader, "a").ok());
  gate_.Replace(
      KeyRing::Parse(absl::StrCat("keys: [{id: x, role: read, hash: '", HashOf(kWriter), "'}]"),
                     "keys.yaml")
          .value());
  ExpectRefused(Check("Search", reader, "a"), StatusCode::kUnauthenticated, "KEY_UNKNOWN");
  EXPECT_TRUE(Check("Search", absl::StrCat("Bearer ", kWriter), "a").ok());
}

}  // namespace
}  // namespace mrl::server
