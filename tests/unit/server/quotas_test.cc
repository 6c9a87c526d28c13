#include "server/quotas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace mrl::server {
namespace {

using ::testing::HasSubstr;

TEST(QuotaTable, ACollectionsOwnEntryCountsBeforeThatOfAll) {
  const auto table = QuotaTable::Parse(
      "quotas:\n"
      "- {collection: products, in-flight-max: 4, requests-per-s: 2.5, burst: 9}\n"
      "- {collection: '*', rows-max: 1000000, memory-bytes-max: 1e9}\n",
      "q.yaml");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ((*table)->size(), 2u);
  const Quota* products = (*table)->Find("products");
  ASSERT_NE(products, nullptr);
  EXPECT_EQ(products->in_flight_max, 4);
  EXPECT_EQ(products->requests_per_s, 2.5);
  EXPECT_EQ(products->burst, 9);
  EXPECT_EQ(products->rows_max, 0u);
  const Quota* other = (*table)->Find("other");
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->rows_max, 1'000'000u);
  EXPECT_EQ(other->memory_bytes_max, 1'000'000'000u);
  EXPECT_EQ(other->in_flight_max, 0);
}

TEST(QuotaTable, WithoutAnEntryThereIsNoLimit) {
  const auto table = QuotaTable::Parse("quotas: []", "q.yaml");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ((*table)->Find("products"), nullptr);
}

TEST(QuotaTable, WrongFilesAreRefusedWithThePlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "a map with the one list 'quotas' is needed"},
      {"quotas: 3", "a map with the one list 'quotas' is needed"},
      {"quotas: [", "q.yaml: "},
      {"quotas: [x]", "quota 1: a map with collection and limits is needed"},
      {"quotas: [{rows-max: 1}]", "quota 1: field 'collection' is missing"},
      {"quotas: [{collection: a}]", "quota 1: no limit is given"},
      {"quotas: [{collection: a, rows: 1}]", "unknown field 'rows'; known: collection"},
      {"quotas: [{collection: a, rows-max: 0}]", "rows-max is '0'; a number above 0"},
      {"quotas: [{collection: a, rows-max: 0.5}]", "rows-max is '0.5'; 1 is the least"},
      {"quotas: [{collection: a, in-flight-max: -1}]", "in-flight-max is '-1'"},
      {"quotas: [{collection: a, in-flight-max: nan}]", "in-flight-max is 'nan'"},
      {"quotas: [{collection: a, burst: 2}]", "burst needs requests-per-s"},
      {"quotas: [{collection: a, rows-max: [1]}]", "rows-max needs a single value"},
      {"quotas: [{collection: a, rows-max: 1, rows-max: 2}]", "field 'rows-max' comes twice"},
      {"quotas: [{collection: a, rows-max: 1}, {collection: a, rows-max: 2}]",
       "quota 2: collection 'a' comes twice"},
  };
  for (const auto& [text, message] : cases) {
    const auto table = QuotaTable::Parse(text, "q.yaml");
    EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(table.status().message()), HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace mrl::server
