#include "server/admission/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/rpc/error.h"

namespace mrl::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A pool of one worker that waits until the test lets it go, so that everything after is queued.
class Admissions : public ::testing::Test {
 protected:
  class Recorded final : public Admission::Task {
   public:
    Recorded(Admissions* test, std::string name, const void* joins_as)
        : test_(test), name_(std::move(name)), joins_as_(joins_as) {}
    void Run() override {
      test_->now_ += test_->run_time_;
      test_->ran_.push_back(name_);
    }
    void Refuse(absl::Status why) override {
      test_->refused_.push_back(name_);
      test_->why_ = std::move(why);
    }
    const void* joins_as() const override { return joins_as_; }
    void RunWith(absl::Span<Task* const> others) override {
      std::string names = name_;
      for (Task* other : others) names += "+" + static_cast<Recorded*>(other)->name_;
      test_->now_ += test_->run_time_;
      test_->ran_.push_back(names);
      if (test_->in_joined_) test_->in_joined_();
    }

   private:
    Admissions* test_;
    std::string name_;
    const void* joins_as_;
  };
  class Blocking final : public Admission::Task {
   public:
    void Run() override {
      begun.Notify();
      go.WaitForNotification();
    }
    void Refuse(absl::Status) override {}
    absl::Notification begun, go;
  };

  void SetUp() override {
    ASSERT_TRUE(admission_.Admit({}, &blocking_).ok());
    blocking_.begun.WaitForNotification();
  }
  ~Admissions() override { Finish(); }

  absl::Status Admit(const std::string& name, Admission::Claim claim) {
    tasks_.push_back(std::make_unique<Recorded>(this, name, joins_as_));
    return admission_.Admit(claim, tasks_.back().get());
  }
  static Admission::Claim Of(absl::string_view owner, absl::string_view collection = "c") {
    Admission::Claim claim;
    claim.owner = owner;
    claim.collection = collection;
    return claim;
  }
  // Runs what waits, to its end.
  void Finish() {
    if (!blocking_.go.HasBeenNotified()) blocking_.go.Notify();
    pool_.Shutdown();
  }
  void ExpectRefused(const absl::Status& status, const std::string& reason,
                     const std::string& message) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(ReasonOf(status), reason);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000'000);  // moved by the one that runs or tests
  absl::Duration run_time_ = absl::ZeroDuration();
  const void* joins_as_ = nullptr;   // of the tasks that are admitted next
  std::function<void()> in_joined_;  // runs with tasks that run as one
  std::vector<std::string> ran_, refused_;
  absl::Status why_;
  std::vector<std::unique_ptr<Recorded>> tasks_;
  Blocking blocking_;
  schedule::WorkerPool pool_{1, 100};
  Admission admission_{pool_, 6, 0, [this] { return now_; }};
};

TEST_F(Admissions, OwnersTakeTurns) {
  for (const char* name : {"a1", "a2", "a3"}) ASSERT_TRUE(Admit(name, Of("a")).ok());
  ASSERT_TRUE(Admit("b1", Of("b")).ok());
  ASSERT_TRUE(Admit("b2", Of("b")).ok());
  EXPECT_EQ(admission_.waiting(), 5u);
  Finish();
  EXPECT_THAT(ran_, ElementsAre("a1", "b1", "a2", "b2", "a3"));
}

TEST_F(Admissions, CollectionsOfOneOwnerTakeTurns) {
  ASSERT_TRUE(Admit("x1", Of("a", "x")).ok());
  ASSERT_TRUE(Admit("x2", Of("a", "x")).ok());
  ASSERT_TRUE(Admit("y1", Of("a", "y")).ok());
  Finish();
  EXPECT_THAT(ran_, ElementsAre("x1", "y1", "x2"));
}

TEST_F(Admissions, TasksThatAreAlikeInOneCollectionRunAsOne) {
  joins_as_ = this;
  ASSERT_TRUE(Admit("x1", Of("a", "x")).ok());
  ASSERT_TRUE(Admit("y1", Of("a", "y")).ok());
  ASSERT_TRUE(Admit("x2", Of("a", "x")).ok());
  ASSERT_TRUE(Admit("x3", Of("b", "x")).ok());
  joins_as_ = &now_;
  ASSERT_TRUE(Admit("other", Of("b", "x")).ok());
  joins_as_ = nullptr;
  ASSERT_TRUE(Admit("alone", Of("b", "x")).ok());
  Finish();
  EXPECT_THAT(ran_, ElementsAre("x1+x3+x2", "other", "y1", "alone"));
  EXPECT_EQ(admission_.waiting(), 0u);
}

TEST_F(Admissions, AWorkerTakesItsShareOfWhatCanBeJoined) {
  schedule::WorkerPool pool(2, 100);
  Admission admission(pool, 100, 0, [this] { return now_; });
  Blocking first, second;
  for (Blocking* one : {&first, &second}) {
    ASSERT_TRUE(admission.Admit({}, one).ok());
    one->begun.WaitForNotification();
  }
  for (int i = 0; i < 50; ++i) {
    tasks_.push_back(std::make_unique<Recorded>(this, "q", this));
    ASSERT_TRUE(admission.Admit(Of("a"), tasks_.back().get()).ok());
  }
  first.go.Notify();  // one worker runs them all, so that `ran_` needs no lock
  while (admission.waiting() > 0) {
  }
  second.go.Notify();
  pool.Shutdown();
  std::vector<size_t> sizes;
  for (const std::string& names : ran_)
    sizes.push_back(1 + std::count(names.begin(), names.end(), '+'));
  EXPECT_THAT(sizes, ElementsAre(16, 16, 9, 5, 2, 1, 1));
}

TEST_F(Admissions, TurnsThatJoiningLeftOverServeThoseWhoComeNext) {
  schedule::WorkerPool pool(1, 7);
  Admission admission(pool, 6, 0, [this] { return now_; });
  Blocking first;
  ASSERT_TRUE(admission.Admit({}, &first).ok());
  first.begun.WaitForNotification();
  std::atomic<int> admitted = 0;
  const auto fill = [&] {
    for (int i = 0; i < 6; ++i) {
      tasks_.push_back(std::make_unique<Recorded>(this, "q", this));
      admitted += admission.Admit(Of("a"), tasks_.back().get()).ok() ? 1 : 0;
    }
  };
  fill();
  int rounds = 0;
  absl::Notification done;
  in_joined_ = [&] {
    if (++rounds < 4) {
      fill();  // the queue is empty: what runs has left it
    } else {
      done.Notify();
    }
  };
  first.go.Notify();
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(60)));
  pool.Shutdown();
  EXPECT_EQ(admitted, 24);
  EXPECT_THAT(ran_, ElementsAre("q+q+q+q+q+q", "q+q+q+q+q+q", "q+q+q+q+q+q", "q+q+q+q+q+q"));
}

TEST_F(Admissions, AFullQueueRefusesWhoHasMostWaiting) {
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Admit(std::string("a") + char('0' + i), Of("a")).ok());
  ExpectRefused(Admit("a6", Of("a")), "QUEUE_FULL",
                "the queue is full: 6 calls wait, the limit is 6");
  ASSERT_TRUE(Admit("b0", Of("b")).ok());
  EXPECT_THAT(refused_, ElementsAre("a5"));
  ExpectRefused(why_, "QUEUE_FULL", "the queue is full");
  ASSERT_TRUE(Admit("b1", Of("b")).ok());
  ASSERT_TRUE(Admit("b2", Of("b")).ok());
  ExpectRefused(Admit("b3", Of("b")), "QUEUE_FULL", "the queue is full");
  Finish();
  EXPECT_THAT(ran_, ElementsAre("a0", "b0", "a1", "b1", "a2", "b2"));
}

TEST_F(Admissions, WhoIsTooLateForItsTurnIsRefusedAtOnce) {
  run_time_ = absl::Seconds(32);  // the mean moves by a 32nd: it becomes 1 s
  ASSERT_TRUE(Admit("slow", Of("a")).ok());
  blocking_.go.Notify();
  while (admission_.waiting() > 0) {
  }
  Blocking again;
  ASSERT_TRUE(admission_.Admit({}, &again).ok());
  again.begun.WaitForNotification();
  run_time_ = absl::ZeroDuration();
  ASSERT_TRUE(Admit("a1", Of("a")).ok());
  ASSERT_TRUE(Admit("a2", Of("a")).ok());
  Admission::Claim late = Of("a");
  // A turn after 2 s by guess, which may take twice as long, and 1 s of work.
  late.deadline = now_ + absl::Seconds(4);
  ExpectRefused(Admit("late", late), "DEADLINE_BEFORE_TURN", "2 wait before it");
  late.owner = "b";  // another owner's turn is next
  EXPECT_TRUE(Admit("in time", late).ok());
  again.go.Notify();
  Finish();
  EXPECT_THAT(ran_, ElementsAre("slow", "a1", "in time", "a2"));
}

TEST_F(Admissions, WhoCannotEndInTimeGivesWayToThoseWhoCan) {
  run_time_ = absl::Seconds(32);  // the mean becomes 1 s
  ASSERT_TRUE(Admit("slow", Of("a")).ok());
  blocking_.go.Notify();
  while (admission_.waiting() > 0) {
  }
  Blocking again;
  ASSERT_TRUE(admission_.Admit({}, &again).ok());
  again.begun.WaitForNotification();
  run_time_ = absl::ZeroDuration();
  Admission::Claim late = Of("a");
  late.deadline = now_ + absl::Seconds(10);
  Admission::Claim past = Of("b");
  past.deadline = now_ + absl::Seconds(9);
  ASSERT_TRUE(Admit("half a second short", late).ok());
  ASSERT_TRUE(Admit("past its deadline", past).ok());
  ASSERT_TRUE(Admit("patient", Of("c")).ok());
  ASSERT_TRUE(Admit("last", late).ok());
  now_ += absl::Milliseconds(9500);
  again.go.Notify();
  Finish();
  EXPECT_THAT(refused_, ElementsAre("half a second short"));
  ExpectRefused(why_, "DEADLINE_BEFORE_TURN", "no time for this call's work");
  // With nobody behind it even a late one is tried: the guess of its time may be wrong.
  EXPECT_THAT(ran_, ElementsAre("slow", "past its deadline", "patient", "last"));
}

TEST_F(Admissions, ACallerRunsItsTaskItselfWhileWorkersAreIdle) {
  class Here final : public Admission::Task {
   public:
    bool may_run_here() const override { return true; }
    void Run() override { ran = "by a worker"; }
    void RunHere() override {
      ran = "here";
      if (inside) inside();
    }
    void Refuse(absl::Status) override {}
    std::function<void()> inside;
    std::string ran;
  };
  schedule::WorkerPool pool(2, 100);
  Admission admission(pool, 100, 1, [this] { return now_; });
  Here outer, inner, later;
  outer.inside = [&] {
    // One caller's thread is taken, so this one is for a worker.
    ASSERT_TRUE(admission.Admit(Of("a"), &inner).ok());
  };
  ASSERT_TRUE(admission.Admit(Of("a"), &outer).ok());
  EXPECT_EQ(outer.ran, "here");
  pool.Shutdown();
  EXPECT_EQ(inner.ran, "by a worker");
  EXPECT_EQ(admission.waiting(), 0u);
  ASSERT_TRUE(admission.Admit(Of("a"), &later).ok());
  EXPECT_EQ(later.ran, "here");
  // A busy pool of one worker leaves no room.
  Here queued;
  Admission full(pool_, 6, 1, [this] { return now_; });
  Blocking busy;
  blocking_.go.Notify();
  ASSERT_TRUE(full.Admit({}, &busy).ok());
  busy.begun.WaitForNotification();
  ASSERT_TRUE(full.Admit(Of("a"), &queued).ok());
  EXPECT_EQ(queued.ran, "");
  busy.go.Notify();
  Finish();
  EXPECT_EQ(queued.ran, "by a worker");
}

TEST_F(Admissions, ARateIsHeldPerOwner) {
  Admission::Claim claim = Of("a");
  claim.of_owner.requests_per_s = 2;
  claim.of_owner.burst = 2;
  EXPECT_TRUE(Admit("1", claim).ok());
  EXPECT_TRUE(Admit("2", claim).ok());
  const absl::Status refused = Admit("3", claim);
  ExpectRefused(refused, "RATE_LIMIT", "key 'a' is above its limit of 2 calls a second");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(ToGrpc(refused).error_details()));
  google::rpc::RetryInfo retry;
  google::rpc::QuotaFailure quota;
  ASSERT_EQ(details.details_size(), 3);
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
  ASSERT_TRUE(details.details(2).UnpackTo(&quota));
  EXPECT_EQ(quota.violations(0).subject(), "key:a");
  claim.owner = "b";
  EXPECT_TRUE(Admit("4", claim).ok());
  claim.owner = "a";
  now_ += absl::Milliseconds(500);
  EXPECT_TRUE(Admit("5", claim).ok());
}

TEST_F(Admissions, CallsAtATimeAreHeldPerOwner) {
  Admission::Claim claim = Of("a");
  claim.of_owner.in_flight_max = 2;
  EXPECT_TRUE(Admit("1", claim).ok());
  EXPECT_TRUE(Admit("2", claim).ok());
  ExpectRefused(Admit("3", claim), "IN_FLIGHT_LIMIT", "key 'a' has 2 calls at a time; the limit");
  admission_.End("a", "");
  EXPECT_TRUE(Admit("4", claim).ok());
}

TEST_F(Admissions, ACollectionIsHeldToItsQuotaWhoeverAsks) {
  Admission::Claim claim = Of("a");
  claim.quota = "products";
  claim.of_collection.in_flight_max = 2;
  EXPECT_TRUE(Admit("1", claim).ok());
  claim.owner = "b";
  EXPECT_TRUE(Admit("2", claim).ok());
  claim.owner = "c";
  const absl::Status refused = Admit("3", claim);
  ExpectRefused(refused, "COLLECTION_IN_FLIGHT_LIMIT",
                "collection 'products' has 2 calls at a time; the limit is 2");
  google::rpc::Status details;
  google::rpc::QuotaFailure quota;
  ASSERT_TRUE(details.ParseFromString(ToGrpc(refused).error_details()));
  ASSERT_EQ(details.details_size(), 3);
  ASSERT_TRUE(details.details(2).UnpackTo(&quota));
  EXPECT_EQ(quota.violations(0).subject(), "collection:products");
  admission_.End("a", "products");
  EXPECT_TRUE(Admit("4", claim).ok());
  EXPECT_TRUE(Admit("5", Of("c")).ok());  // of another collection
}

TEST_F(Admissions, ACollectionsRateIsHeldAndCostsTheOwnerNothing) {
  Admission::Claim claim = Of("a");
  claim.of_owner = {.requests_per_s = 1, .burst = 2};
  claim.quota = "products";
  claim.of_collection = {.requests_per_s = 1, .burst = 1};
  EXPECT_TRUE(Admit("1", claim).ok());
  ExpectRefused(Admit("2", claim), "COLLECTION_RATE_LIMIT",
                "collection 'products' is above its limit of 1 calls a second");
  claim.quota = "";
  EXPECT_TRUE(Admit("3", claim).ok());
  ExpectRefused(Admit("4", claim), "RATE_LIMIT", "key 'a'");
}

TEST_F(Admissions, ANextStepIsNotRefused) {
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(Admit("a", Of("a")).ok());
  tasks_.push_back(std::make_unique<Recorded>(this, "step", nullptr));
  EXPECT_TRUE(admission_.Resume(Of("b"), tasks_.back().get()).ok());
  Finish();
  EXPECT_EQ(ran_.size(), 7u);
}

}  // namespace
}  // namespace mrl::server
