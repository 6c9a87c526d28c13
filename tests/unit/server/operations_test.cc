#include "server/operations/operations.h"

#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/operations/operation_record.h"

namespace mrl::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Runs `echo` (gives its request back), `fail`, and `wait` (until it is stopped).
class OperationsTest : public ::testing::Test {
 protected:
  void Make() {
    operations_ = std::make_unique<Operations>(
        std::map<std::string, Operations::Runner>{
            {"echo",
             [](const Operation& operation, Operations::Control& control) {
               control.Report(3, 7);
               return absl::StatusOr<std::string>(operation.request);
             }},
            {"fail",
             [](const Operation&, Operations::Control&) -> absl::StatusOr<std::string> {
               return absl::DataLossError("the disk is gone");
             }},
            {"wait",
             [this](const Operation&, Operations::Control& control) -> absl::StatusOr<std::string> {
               if (!waits_.HasBeenNotified()) waits_.Notify();
               while (!control.stopped()) absl::SleepFor(absl::Milliseconds(1));
               return absl::CancelledError("stopped");
             }}},
        [this] {
          absl::MutexLock lock(&mutex_);
          return now_;
        });
    operations_->Recover({.put =
                              [this](const std::string& id, const std::string& bytes) {
                                absl::MutexLock lock(&mutex_);
                                kept_[id] = bytes;
                                return absl::OkStatus();
                              },
                          .remove =
                              [this](const std::string& id) {
                                absl::MutexLock lock(&mutex_);
                                kept_.erase(id);
                                return absl::OkStatus();
                              }},
                         Kept());
  }
  void SetUp() override { Make(); }
  std::map<std::string, std::string> Kept() {
    absl::MutexLock lock(&mutex_);
    return kept_;
  }
  void Advance(absl::Duration time) {
    absl::MutexLock lock(&mutex_);
    now_ += time;
  }
  Operation Start(const std::string& method, const std::string& request = "") {
    const auto started = operations_->Start(method, "words", request);
    EXPECT_TRUE(started.ok()) << started.status();
    return *started;
  }
  Operation WaitFor(const std::string& id) {
    while (true) {
      const auto operation = operations_->Get(id);
      EXPECT_TRUE(operation.ok()) << operation.status();
      if (!operation.ok() || operation->done()) return *operation;
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  absl::Mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::map<std::string, std::string> kept_;
  absl::Notification waits_;
  std::unique_ptr<Operations> operations_;
};

TEST_F(OperationsTest, EndWithWhatTheRunnerGave) {
  const Operation started = Start("echo", std::string("a\0b", 3));
  EXPECT_THAT(started.id, SizeIs(32));
  EXPECT_FALSE(started.done());
  const Operation ended = WaitFor(started.id);
  EXPECT_TRUE(ended.status.ok());
  EXPECT_EQ(ended.response, std::string("a\0b", 3));
  EXPECT_EQ(ended.rows_done, 3u);
  EXPECT_EQ(ended.rows, 7u);
  EXPECT_EQ(ended.collection, "words");
}

TEST_F(OperationsTest, KeepTheErrorOfARunner) {
  const Operation ended = WaitFor(Start("fail").id);
  EXPECT_EQ(ended.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ended.status.message(), "the disk is gone");
  EXPECT_THAT(ended.response, IsEmpty());
}

TEST_F(OperationsTest, AreCancelledWhileTheyRunAndBefore) {
  const Operation running = Start("wait");
  waits_.WaitForNotification();
  const Operation second = Start("wait");
  const Operation behind = Start("echo");  // both threads are taken
  ASSERT_TRUE(operations_->Cancel(behind.id).ok());
  ASSERT_TRUE(operations_->Cancel(running.id).ok());
  EXPECT_EQ(WaitFor(running.id).status.message(), "stopped");
  const Operation never = WaitFor(behind.id);
  EXPECT_EQ(never.status.code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(operations_->Cancel(second.id).ok());
  EXPECT_TRUE(WaitFor(second.id).cancel_requested);
  EXPECT_TRUE(operations_->Cancel(second.id).ok());  // has ended, stays as it is
}

TEST_F(OperationsTest, AreForgottenOnlyWhenTheyHaveEnded) {
  const Operation running = Start("wait");
  const absl::Status refused = operations_->Delete(running.id);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("is under way; cancel it first"));
  ASSERT_TRUE(operations_->Cancel(running.id).ok());
  WaitFor(running.id);
  ASSERT_TRUE(operations_->Delete(running.id).ok());
  EXPECT_EQ(operations_->Delete(running.id).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(operations_->Cancel(running.id).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(operations_->Get(running.id).status().message(),
            "operation 'operations/" + running.id + "' does not exist");
  EXPECT_THAT(Kept(), IsEmpty());
}

TEST_F(OperationsTest, SurviveTheEndOfTheServer) {
  const Operation ended = WaitFor(Start("echo", "x").id);
  const Operation running = Start("wait");
  waits_.WaitForNotification();
  operations_.reset();
  EXPECT_THAT(Kept(), SizeIs(2));
  EXPECT_FALSE(DecodeOperation(Kept().at(running.id))->done());
  Make();
  EXPECT_EQ(operations_->Get(ended.id)->response, "x");
  EXPECT_FALSE(operations_->Get(running.id)->done());  // runs anew
  ASSERT_TRUE(operations_->Cancel(running.id).ok());
  EXPECT_EQ(WaitFor(running.id).status.code(), absl::StatusCode::kCancelled);
}

TEST_F(OperationsTest, ARecordThatIsNotUnderstoodGoes) {
  operations_.reset();
  Operation unknown;
  unknown.id = "abc";
  unknown.method = "of another version";
  {
    absl::MutexLock lock(&mutex_);
    kept_ = {{"abc", EncodeOperation(unknown)}, {"def", "{\"id\":\"def\"}"}, {"ghi", "\x01"}};
  }
  Make();
  EXPECT_THAT(operations_->List(), IsEmpty());
  EXPECT_THAT(Kept(), IsEmpty());
}

TEST_F(OperationsTest, ThatEndedAreKeptForADay) {
  const Operation old = WaitFor(Start("echo").id);
  Advance(absl::Hours(25));
  const Operation young = WaitFor(Start("echo").id);
  EXPECT_EQ(operations_->Get(old.id).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(operations_->Get(young.id).ok());
  EXPECT_THAT(Kept(), SizeIs(1));
}

TEST_F(OperationsTest, OverTheLimitAreRefused) {
  for (size_t i = 0; i < Operations::kUnfinishedMax; ++i) Start("wait");
  const auto refused = operations_->Start("echo", "words", "");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.status().message(), "100 operations are under way; the limit is 100");
}

}  // namespace
}  // namespace mrl::server
