// What an operator learns of single calls: traces, the slow-query log, the configuration.
#include <grpcpp/grpcpp.h>

#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/synchronization/mutex.h"
#include "mrl/v1/server.pb.h"
#include "server/command_line.h"
#include "server/log.h"
#include "tests/integration/operated.h"
#include "tests/integration/raw_call.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::SearchRequest Request(const std::string& funnel) {
  v1::SearchRequest request;
  request.set_collection("sample");
  const std::vector<float> vector = SampleVector(7, 0);
  request.mutable_vector()->set_dtype(v1::DTYPE_F32);
  request.mutable_vector()->set_data(vector.data(), vector.size() * sizeof(float));
  request.mutable_options()->set_funnel_text(funnel);
  return request;
}

class Traced : public Operated {
 protected:
  void Configure(server::Config* config) override {
    collector_.Post("/v1/traces", [this](const httplib::Request& request, httplib::Response&) {
      absl::MutexLock lock(&mutex_);
      const auto body = nlohmann::json::parse(request.body);
      for (const auto& span : body["resourceSpans"][0]["scopeSpans"][0]["spans"]) {
        spans_.push_back(span);
      }
    });
    config->otlp_endpoint =
        "http://127.0.0.1:" + std::to_string(collector_.bind_to_any_port("127.0.0.1"));
    config->trace_per_million = 0;
    listener_ = std::thread([this] { collector_.listen_after_bind(); });
    while (!collector_.is_running()) std::this_thread::yield();
  }
  ~Traced() override {
    server_.reset();
    collector_.stop();
    listener_.join();
  }
  void Call(const std::string& path, const std::string& request, const std::string& traceparent) {
    RawCall(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()), path,
            request, {{"traceparent", traceparent}});
  }
  // All that was sent, once the server is gone.
  std::vector<nlohmann::json> Spans() {
    server_.reset();
    absl::MutexLock lock(&mutex_);
    return spans_;
  }

 private:
  httplib::Server collector_;
  std::thread listener_;
  absl::Mutex mutex_;
  std::vector<nlohmann::json> spans_;
};

TEST_F(Traced, ACallJoinsItsCallersTraceWithASpanForEachStage) {
  Call("/mrl.v1.SearchService/Search", Request("16:100,64:10").SerializeAsString(),
       "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  const auto spans = Spans();
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0]["name"], "mrl.v1.SearchService/Search");
  EXPECT_EQ(spans[0]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(spans[0]["parentSpanId"], "00f067aa0ba902b7");
  EXPECT_EQ(spans[0]["kind"], 2);
  EXPECT_EQ(spans[1]["name"], "scan 16");
  EXPECT_EQ(spans[2]["name"], "rerank 64");
  for (int stage : {1, 2}) {
    EXPECT_EQ(spans[stage]["traceId"], spans[0]["traceId"]);
    EXPECT_EQ(spans[stage]["parentSpanId"], spans[0]["spanId"]);
  }
  EXPECT_EQ(spans[1]["endTimeUnixNano"], spans[2]["startTimeUnixNano"]);
}

TEST_F(Traced, AFailedCallSaysSo) {
  Call("/mrl.v1.CollectionService/GetCollection", "\x0a\x04nope",
       "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  const auto spans = Spans();
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0]["status"]["code"], 2);
  EXPECT_THAT(spans[0]["status"]["message"].get<std::string>(), HasSubstr("'nope'"));
}

TEST_F(Traced, WhatItsCallerDoesNotSampleIsNotSent) {
  Call("/mrl.v1.ServerService/GetServerInfo", "",
       "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
  Call("/mrl.v1.ServerService/GetServerInfo", "", "none");
  EXPECT_TRUE(Spans().empty());
}

// The process-wide log, caught for the length of a test.
class Logged : public Operated {
 protected:
  void Configure(server::Config* config) override { config->slow_query_ms = 1; }
  void SetUp() override {
    Operated::SetUp();
    ::testing::internal::CaptureStderr();
    server::SetUpLog("json", "info");
  }
  void TearDown() override {
    server::SetUpLog("text", "critical");
    if (!taken_) ::testing::internal::GetCapturedStderr();
  }
  // The line that has a member of this value; null where there is none. Once a test.
  nlohmann::json Line(const std::string& member, const std::string& value) {
    server_->Drain();
    const std::string text = ::testing::internal::GetCapturedStderr();
    taken_ = true;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (json.is_object() && json.value(member, "") == value) return json;
    }
    ADD_FAILURE() << "no line has " << member << " " << value << ":\n" << text;
    return nullptr;
  }

 private:
  bool taken_ = false;
};

TEST_F(Logged, ASlowCallIsLoggedWithItsStages) {
  std::vector<float> queries;
  for (uint32_t row = 0; row < 2000; ++row) {
    const std::vector<float> vector = SampleVector(7, row);
    queries.insert(queries.end(), vector.begin(), vector.end());
  }
  client::SearchOptions options;
  options.funnel = "16:400,64:10";
  ASSERT_TRUE(client().BatchSearch("sample", queries, 2000, options).ok());
  const auto line = Line("message", "slow call");
  ASSERT_FALSE(line.is_null());
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["method"], "BatchSearch");
  EXPECT_EQ(line["collection"], "sample");
  EXPECT_EQ(line["plan"], "scan/16:400,64:10");
  EXPECT_THAT(line["stages"].get<std::string>(), HasSubstr("scan:16:500>400:"));
  EXPECT_THAT(line["stages"].get<std::string>(), HasSubstr(";rerank:64:400>10:"));
}

TEST_F(Logged, AFailedCallCarriesTheCallersIds) {
  const RawReply reply =
      RawCall(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()),
              "/mrl.v1.CollectionService/GetCollection", "\x0a\x04nope",
              {{"x-request-id", "order-17"},
               {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  EXPECT_THAT(reply.status.error_details(), HasSubstr("order-17"));
  const auto line = Line("request_id", "order-17");
  ASSERT_FALSE(line.is_null());
  EXPECT_EQ(line["code"], "NOT_FOUND");
  EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

class Configured : public Operated {};

TEST_F(Configured, GetConfigShowsEverySettingWithItsSourceAndNoSecret) {
  const char* flags[] = {
      "mrl-server",         "--grpc-port",    "0",        "--http-port", "0", "--otlp-endpoint",
      "http://127.0.0.1:1", "--otlp-headers", "a=planted"};
  const auto line = server::ParseCommandLine(
      std::size(flags), flags, [](const std::string&) -> const char* { return nullptr; });
  ASSERT_TRUE(line.ok()) << line.status();
  const auto server = server::Server::Start(FileSystem::Posix(), line->config, line->settings);
  ASSERT_TRUE(server.ok()) << server.status();
  const RawReply reply =
      RawCall(grpc::CreateChannel((*server)->address(), grpc::InsecureChannelCredentials()),
              "/mrl.v1.ServerService/GetConfig", "");
  ASSERT_EQ(reply.messages.size(), 1u) << reply.status.error_message();
  EXPECT_THAT(reply.messages[0], Not(HasSubstr("planted")));
  v1::ServerConfig config;
  ASSERT_TRUE(config.ParseFromString(reply.messages[0]));
  EXPECT_EQ(config.settings_size(), static_cast<int>(server::ConfigKeys().size()));
  const auto find = [&config](const std::string& key) {
    for (const auto& setting : config.settings()) {
      if (setting.key() == key) return setting.value() + " from " + setting.source();
    }
    return std::string("no such key");
  };
  EXPECT_EQ(find("otlp-headers"), "*** from flag --otlp-headers");
  EXPECT_EQ(find("grpc-port"), "0 from flag --grpc-port");
  EXPECT_EQ(find("bind"), "127.0.0.1 from default");
}

}  // namespace
}  // namespace mrl
