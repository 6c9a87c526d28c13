// traceparent, and the exporter against a collector in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/trace/exporter.h"
#include "server/trace/trace_parent.h"

namespace mrl::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSpan[] = "00f067aa0ba902b7";

TEST(TraceParent, IsRead) {
  const auto parent = ParseTraceParent(absl::StrCat("00-", kTrace, "-", kSpan, "-01"));
  ASSERT_TRUE(parent.has_value());
  EXPECT_EQ(parent->trace_id, kTrace);
  EXPECT_EQ(parent->span_id, kSpan);
  EXPECT_TRUE(parent->sampled);
  EXPECT_FALSE(ParseTraceParent(absl::StrCat("00-", kTrace, "-", kSpan, "-02"))->sampled);
  EXPECT_TRUE(ParseTraceParent(absl::StrCat("01-", kTrace, "-", kSpan, "-0f-more"))->sampled);
}

TEST(TraceParent, WhatIsNoneIsIgnored) {
  const std::string zeros(32, '0');
  for (const std::string& header :
       {std::string(), std::string("00"), absl::StrCat("ff-", kTrace, "-", kSpan, "-01"),
        absl::StrCat("00-", zeros, "-", kSpan, "-01"),
        absl::StrCat("00-", kTrace, "-", zeros.substr(16), "-01"),
        absl::StrCat("00-", kTrace, "-", kSpan, "-0x"),
        absl::StrCat("00-", kTrace, "-", kSpan, "-01-more"),
        absl::StrCat("01-", kTrace, "-", kSpan, "-01more"),
        absl::StrCat("00-4BF92F3577B34DA6A3CE929D0E0E4736-", kSpan, "-01"),
        absl::StrCat("00_", kTrace, "_", kSpan, "_01")}) {
    EXPECT_FALSE(ParseTraceParent(header).has_value()) << header;
  }
}

TEST(RandomHex, HasTheDigitsAskedFor) {
  EXPECT_EQ(RandomHex(32).size(), 32u);
  EXPECT_EQ(RandomHex(16).size(), 16u);
  EXPECT_NE(RandomHex(32), RandomHex(32));
}

Span SpanNamed(const std::string& name) {
  Span span;
  span.trace_id = kTrace;
  span.span_id = kSpan;
  span.name = name;
  span.server = true;
  span.begin = absl::FromUnixNanos(1'000'000'001);
  span.end = absl::FromUnixNanos(1'000'000'005);
  span.attributes = {{"mrl.collection", "a\"b"}};
  return span;
}

TEST(OtlpJson, HasTheShapeOfTheStandard) {
  Span failed = SpanNamed("Search");
  failed.error = "no";
  const auto body = nlohmann::json::parse(ToOtlpJson({failed}));
  const auto& resource = body["resourceSpans"][0];
  EXPECT_EQ(resource["resource"]["attributes"][0]["value"]["stringValue"], "mrl-server");
  const auto& span = resource["scopeSpans"][0]["spans"][0];
  EXPECT_EQ(span["traceId"], kTrace);
  EXPECT_EQ(span["spanId"], kSpan);
  EXPECT_EQ(span.count("parentSpanId"), 0u);
  EXPECT_EQ(span["kind"], 2);
  EXPECT_EQ(span["startTimeUnixNano"], "1000000001");
  EXPECT_EQ(span["endTimeUnixNano"], "1000000005");
  EXPECT_EQ(span["attributes"][0]["value"]["stringValue"], "a\"b");
  EXPECT_EQ(span["status"]["code"], 2);
}

// Keeps what it is sent.
class Collector {
 public:
  Collector() {
    server_.Post("/prefix/v1/traces",
                 [this](const httplib::Request& request, httplib::Response& response) {
                   absl::MutexLock lock(&mutex_);
                   header_ = request.get_header_value("x-token");
                   const auto body = nlohmann::json::parse(request.body);
                   spans_ += body["resourceSpans"][0]["scopeSpans"][0]["spans"].size();
                   response.status = status_;
                 });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Collector() {
    server_.stop();
    thread_.join();
  }
  std::string endpoint() const { return absl::StrCat("http://127.0.0.1:", port_, "/prefix/"); }
  void Answer(int status) {
    absl::MutexLock lock(&mutex_);
    status_ = status;
  }
  size_t spans() {
    absl::MutexLock lock(&mutex_);
    return spans_;
  }
  std::string header() {
    absl::MutexLock lock(&mutex_);
    return header_;
  }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  absl::Mutex mutex_;
  size_t spans_ = 0;
  int status_ = 200;
  std::string header_;
};

TEST(SpanExporter, SendsWhatItHasBeforeItEnds) {
  Collector collector;
  {
    Exporter exporter({collector.endpoint(), "x-token=secret", absl::Hours(1)});
    exporter.Export({SpanNamed("a"), SpanNamed("b")});
    exporter.Export({SpanNamed("c")});
  }
  EXPECT_EQ(collector.spans(), 3u);
  EXPECT_EQ(collector.header(), "secret");
}

TEST(SpanExporter, SendsAFullBatchAtOnce) {
  Collector collector;
  Exporter exporter({collector.endpoint(), "", absl::Hours(1)});
  exporter.Export(std::vector<Span>(Exporter::kBatchMax, SpanNamed("a")));
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (exporter.sent() == 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(exporter.sent(), Exporter::kBatchMax);
}

TEST(SpanExporter, CountsWhatIsRefused) {
  Collector collector;
  collector.Answer(503);
  Exporter exporter({collector.endpoint(), "", absl::Milliseconds(1)});
  exporter.Export({SpanNamed("a")});
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (exporter.dropped() == 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(exporter.dropped(), 1u);
  EXPECT_EQ(exporter.sent(), 0u);
}

TEST(SpanExporter, DropsWhatDoesNotFitTheQueue) {
  Exporter exporter({"http://127.0.0.1:1", "", absl::Hours(1)});
  exporter.Export(std::vector<Span>(Exporter::kQueueMax + 1, SpanNamed("a")));
  EXPECT_EQ(exporter.dropped(), Exporter::kQueueMax + 1);
}

TEST(SpanExporter, ChecksItsOptions) {
  EXPECT_TRUE(Exporter::Validate({"http://otel:4318", "a=b,c=d="}).ok());
  EXPECT_THAT(std::string(Exporter::Validate({"otel:4318", ""}).message()),
              HasSubstr("otlp-endpoint is 'otel:4318'; http://HOST:PORT is needed"));
  const absl::Status header = Exporter::Validate({"http://otel:4318", "secret"});
  EXPECT_THAT(std::string(header.message()), HasSubstr("otlp-headers needs NAME=VALUE"));
  EXPECT_THAT(std::string(header.message()), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace mrl::server
