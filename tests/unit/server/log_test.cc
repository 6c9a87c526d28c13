#include "server/log.h"

#include <gtest/gtest.h>

#include <string>

#include <nlohmann/json.hpp>

namespace mrl::server {
namespace {

constexpr auto kInfo = spdlog::level::info;

TEST(LogLine, AsTextHasTimeLevelMessageAndFields) {
  EXPECT_EQ(FormatLogLine("text", kInfo, "call", {{"method", "Search"}, {"error", "a b"}}),
            "1970-01-01T00:00:00.000Z info call method=Search error=\"a b\"");
}

TEST(LogLine, AsJsonIsOneObject) {
  const auto line = nlohmann::json::parse(
      FormatLogLine("json", kInfo, "call", {{"method", "Search"}, {"error", "a \"b\""}}));
  EXPECT_EQ(line["time"], "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["message"], "call");
  EXPECT_EQ(line["method"], "Search");
  EXPECT_EQ(line["error"], "a \"b\"");
}

TEST(LogLine, ValuesCannotForgeLinesOrFields) {
  const std::string evil =
      "x\n2030 error forged\x1f"
      "key\x1e"
      "admin";
  const std::string text = FormatLogLine("text", kInfo, "call", {{"error", evil}});
  EXPECT_EQ(text, "1970-01-01T00:00:00.000Z info call error=\"x 2030 error forged key admin\"");
  const auto json = nlohmann::json::parse(FormatLogLine("json", kInfo, "call", {{"error", evil}}));
  EXPECT_EQ(json.size(), 4u);
}

TEST(LogLine, BytesThatAreNoUtf8AreReplaced) {
  const auto json =
      nlohmann::json::parse(FormatLogLine("json", kInfo, "call", {{"error", "a\xff\xc3"}}));
  EXPECT_EQ(json["error"], "a\xef\xbf\xbd\xef\xbf\xbd");
}

}  // namespace
}  // namespace mrl::server
