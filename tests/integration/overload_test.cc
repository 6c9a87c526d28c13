// More than the server can do, by counts: what is refused, that the rest is answered, and that
// nothing is left behind.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mrl/v1/search.grpc.pb.h"
#include "tests/integration/operated.h"

namespace mrl {
namespace {

constexpr int kQueueMax = 10;
constexpr char kFunnel[] = "16:100,64:10";

// One worker, kept busy by a batch that takes long, while other calls come.
class Overload : public Operated {
 protected:
  void Configure(server::Config* config) override {
    BuildSample(folder_ / "large", 3, 20'000);
    config->indexes.push_back({"large", folder_ / "large"});
    config->workers = 1;
    config->queue_max = kQueueMax;
    config->drain_timeout_ms = 60'000;
  }
  void SetUp() override {
    Operated::SetUp();
    stub_ = v1::SearchService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }

  struct Pending {
    grpc::ClientContext context;
    v1::SearchResponse response;
    grpc::Status status;
  };

  static void SetVector(uint32_t rows, v1::Vector* out) {
    std::string bytes;
    for (uint32_t row = 0; row < rows; ++row) {
      const std::vector<float> vector = SampleVector(7, row);
      bytes.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
    }
    out->set_dtype(v1::DTYPE_F32);
    out->set_data(bytes);
  }
  // Begins a batch whose first chunk takes the worker for long, and waits until it has begun.
  void Occupy() {
    v1::BatchSearchRequest request;
    request.set_collection("large");
    request.set_rows(5000);
    SetVector(5000, request.mutable_queries());
    request.mutable_options()->set_exact(true);
    request.mutable_options()->set_k(1);
    reader_ = stub_->BatchSearch(&batch_, request);
    Await("mrl_queue_wait_seconds_count", 1);
  }
  // Ends it.
  void Release() {
    batch_.TryCancel();
    const grpc::Status status = reader_->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED) << status.error_message();
  }
  // Sends `count` searches at once and returns them when all have ended; `while_waiting` runs when
  // all are on their way.
  std::vector<std::unique_ptr<Pending>> Send(int count, std::chrono::milliseconds timeout,
                                             const std::function<void()>& while_waiting) {
    v1::SearchRequest request;
    request.set_collection("sample");
    SetVector(1, request.mutable_vector());
    request.mutable_options()->set_funnel_text(kFunnel);
    std::vector<std::unique_ptr<Pending>> sent;
    absl::BlockingCounter ended(count);
    for (int i = 0; i < count; ++i) {
      sent.push_back(std::make_unique<Pending>());
      Pending* one = sent.back().get();
      one->context.set_deadline(std::chrono::system_clock::now() + timeout);
      stub_->async()->Search(&one->context, &request, &one->response,
                             [one, &ended](grpc::Status status) {
                               one->status = std::move(status);
                               ended.DecrementCount();
                             });
    }
    while_waiting();
    ended.Wait();
    return sent;
  }
  static int Count(const std::vector<std::unique_ptr<Pending>>& sent, grpc::StatusCode code) {
    int count = 0;
    for (const auto& one : sent) count += one->status.error_code() == code ? 1 : 0;
    return count;
  }
  void ExpectIdle() {
    Await("mrl_rpc_in_flight{method=\"Search\"}", 0);
    Await("mrl_rpc_in_flight{method=\"BatchSearch\"}", 0);
    EXPECT_EQ(Metric("mrl_queue_depth"), 0);
    client::SearchOptions options;
    options.funnel = kFunnel;
    EXPECT_TRUE(client().Search("sample", SampleVector(7, 0), options).ok());
  }

  std::unique_ptr<v1::SearchService::Stub> stub_;
  grpc::ClientContext batch_;
  std::unique_ptr<grpc::ClientReader<v1::BatchSearchResponse>> reader_;
};

TEST_F(Overload, WhatDoesNotFitTheQueueIsRefusedAndTheRestIsAnswered) {
  Occupy();
  constexpr int kSent = 5 * kQueueMax;
  const auto sent = Send(kSent, std::chrono::minutes(2), [this] {
    Await("mrl_rpc_refused_total{reason=\"QUEUE_FULL\"}", kSent - kQueueMax);
    Release();
  });
  EXPECT_EQ(Count(sent, grpc::StatusCode::OK), kQueueMax);
  EXPECT_EQ(Count(sent, grpc::StatusCode::RESOURCE_EXHAUSTED), kSent - kQueueMax);
  for (const auto& one : sent) {
    if (one->status.ok()) continue;
    google::rpc::Status details;
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    ASSERT_TRUE(details.ParseFromString(one->status.error_details()));
    ASSERT_EQ(details.details_size(), 2);
    ASSERT_TRUE(details.details(0).UnpackTo(&info));
    ASSERT_TRUE(details.details(1).UnpackTo(&retry));
    EXPECT_EQ(info.reason(), "QUEUE_FULL");
    EXPECT_GT(retry.retry_delay().seconds() * 1'000'000'000 + retry.retry_delay().nanos(), 0);
  }
  ExpectIdle();
  EXPECT_EQ(Ended("Search", "RESOURCE_EXHAUSTED"), kSent - kQueueMax);
}

TEST_F(Overload, CallsThatAreTooLateDoNoWork) {
  Occupy();
  const auto sent = Send(kQueueMax, std::chrono::milliseconds(1), [] {});
  EXPECT_EQ(Count(sent, grpc::StatusCode::DEADLINE_EXCEEDED), kQueueMax);
  Release();
  ExpectIdle();
  // Only the search of ExpectIdle had a second stage; the batch's rows have one.
  EXPECT_EQ(Ended("Search", "OK"), 1);
  EXPECT_EQ(Metric("mrl_funnel_stage_duration_seconds_count{stage=\"1\"}"), 1);
}

TEST_F(Overload, CancelledCallsDoNoWork) {
  Occupy();
  v1::SearchRequest request;
  request.set_collection("sample");
  SetVector(1, request.mutable_vector());
  request.mutable_options()->set_funnel_text(kFunnel);
  std::vector<std::unique_ptr<Pending>> sent;
  absl::BlockingCounter ended(kQueueMax);
  for (int i = 0; i < kQueueMax; ++i) {
    sent.push_back(std::make_unique<Pending>());
    Pending* one = sent.back().get();
    stub_->async()->Search(&one->context, &request, &one->response,
                           [one, &ended](grpc::Status status) {
                             one->status = std::move(status);
                             ended.DecrementCount();
                           });
  }
  Await("mrl_queue_depth", kQueueMax);
  for (const auto& one : sent) one->context.TryCancel();
  ended.Wait();
  EXPECT_EQ(Count(sent, grpc::StatusCode::CANCELLED), kQueueMax);
  Release();
  ExpectIdle();
  EXPECT_EQ(Ended("Search", "CANCELLED"), kQueueMax);
  EXPECT_EQ(Metric("mrl_funnel_stage_duration_seconds_count{stage=\"1\"}"), 1);
}

// Searches that take longer than their deadline. One that comes while the one before is being
// stopped is refused, since it could not end in time.
TEST_F(Overload, RunningCallsEndWithTheirDeadline) {
  BuildSample(folder_ / "sample", 1, 100'000);
  ASSERT_TRUE(client().ReloadCollection("sample").ok());
  v1::SearchRequest request;
  request.set_collection("sample");
  SetVector(1, request.mutable_vector());
  request.mutable_options()->set_exact(true);
  constexpr int kCalls = 50;
  for (int i = 0; i < kCalls; ++i) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    v1::SearchResponse response;
    const grpc::StatusCode code = stub_->Search(&context, request, &response).error_code();
    EXPECT_TRUE(code == grpc::StatusCode::DEADLINE_EXCEEDED ||
                code == grpc::StatusCode::RESOURCE_EXHAUSTED)
        << code;
  }
  Await("mrl_rpc_in_flight{method=\"Search\"}", 0);
  EXPECT_EQ(Ended("Search", "OK"), 0);
  EXPECT_EQ(Metric("mrl_rows_scanned_total"), 0) << "no search went on to its end";
  ExpectIdle();
}

TEST_F(Overload, TwiceOfWhatItCanDoLosesNothing) {
  // More callers than the queue and the worker hold, each asking again at once.
  constexpr int kCallers = 2 * (kQueueMax + 1), kEach = 100;
  std::atomic<int> answered{0}, refused{0}, other{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] {
      client::Client client(server_->address());
      for (int call = 0; call < kEach; ++call) {
        const auto result = client.Search("large", SampleVector(7, i));
        if (result.ok()) {
          ++answered;
        } else if (absl::IsResourceExhausted(result.status())) {
          ++refused;
        } else {
          ++other;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(answered + refused, kCallers * kEach);
  EXPECT_EQ(other, 0);
  EXPECT_EQ(Ended("Search", "OK"), answered);
  EXPECT_EQ(Ended("Search", "RESOURCE_EXHAUSTED"), refused);
  ExpectIdle();
}

class SlowReader : public Overload {
 protected:
  void Configure(server::Config* config) override {
    Overload::Configure(config);
    config->read_stall_ms = 50;
  }
};

TEST_F(SlowReader, AStreamThatNobodyReadsIsCancelled) {
  v1::BatchSearchRequest request;
  request.set_collection("large");
  request.set_rows(2000);
  SetVector(2000, request.mutable_queries());
  request.mutable_options()->set_k(1000);  // about 40 MB, more than any window takes
  grpc::ClientContext context;
  const auto reader = stub_->BatchSearch(&context, request);
  Await("mrl_rpc_total{code=\"CANCELLED\",method=\"BatchSearch\"}", 1);
  v1::BatchSearchResponse chunk;
  while (reader->Read(&chunk)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  ExpectIdle();
}

class DrainUnderLoad : public Operated {
 protected:
  void Configure(server::Config* config) override { config->drain_timeout_ms = 60'000; }
};

TEST_F(DrainUnderLoad, DropsNoCallThatItTook) {
  config_.indexes = {{"sample", folder_ / "sample"}};
  for (int round = 0; round < 50; ++round) {
    auto started = server::Server::Start(FileSystem::Posix(), config_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    std::atomic<int> answered{0}, other{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&, i] {
        client::Client client(server_->address());
        absl::Status status;
        while (status.ok()) {
          status = client.Search("sample", SampleVector(7, i)).status();
          if (status.ok()) ++answered;
        }
        // The first call after the door closed: refused, not cut off.
        // gRPC says CANCELLED to what arrives in the moment of its shutdown; see the counts below.
        if (!absl::IsUnavailable(status) && !absl::IsCancelled(status)) ++other;
      });
    }
    while (answered < 20 + round) std::this_thread::yield();
    server_->Drain();
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(other, 0) << "round " << round;
    EXPECT_EQ(Ended("Search", "OK"), answered) << "round " << round;
    EXPECT_EQ(Ended("Search", "CANCELLED"), 0) << "round " << round;
    EXPECT_EQ(Metric("mrl_rpc_in_flight{method=\"Search\"}"), 0) << "round " << round;
  }
}

}  // namespace
}  // namespace mrl
