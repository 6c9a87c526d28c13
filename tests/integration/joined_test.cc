// Searches that come at the same time run as one tile, and answer as if alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/barrier.h"
#include "tests/integration/served.h"

namespace mrl {
namespace {

constexpr uint32_t kAtOnce = 32;

class Joined : public Served {
 protected:
  void Configure(server::Config* config) override { config->workers = 1; }

  // Queries of two plans, by vector and by id; one in eight is wrong, and that one only.
  absl::StatusOr<client::SearchResult> Ask(uint32_t number) {
    client::SearchOptions options;
    options.funnel = number % 3 == 0 ? "16:100,64:10" : "32:50,64:10";
    if (number % 5 == 4) {
      return client().Search("sample", client::Id("p" + std::to_string(number)), options);
    }
    std::vector<float> query = SampleVector(7, number);
    if (number % 8 == 7) query.assign(query.size(), 0.0F);
    return client().Search("sample", query, options);
  }
  static std::string Text(const absl::StatusOr<client::SearchResult>& answer) {
    if (!answer.ok()) return std::string(answer.status().message());
    std::string text = answer->stats.plan;
    for (const client::Hit& hit : answer->hits) {
      text += "\n" + client::ToString(hit.id) + " " + std::to_string(hit.score);
    }
    return text;
  }
  // All at once, each from its own thread.
  std::vector<absl::StatusOr<client::SearchResult>> AskAll() {
    std::vector<absl::StatusOr<client::SearchResult>> answers(kAtOnce, absl::UnknownError(""));
    auto* barrier = new absl::Barrier(kAtOnce);
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      threads.emplace_back([this, i, barrier, &answers] {
        if (barrier->Block()) delete barrier;
        answers[i] = Ask(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return answers;
  }
};

TEST_F(Joined, SearchesAnswerAsIfAlone) {
  std::vector<std::string> alone;
  for (uint32_t i = 0; i < kAtOnce; ++i) {
    const auto answer = Ask(i);
    if (answer.ok()) {
      EXPECT_EQ(answer->stats.tile_queries, 1u);
    }
    alone.push_back(Text(answer));
  }
  EXPECT_THAT(alone[7], ::testing::HasSubstr("zero vector"));
  uint32_t largest = 1;
  for (int round = 0; round < 200 && largest < 3; ++round) {
    const auto answers = AskAll();
    for (uint32_t i = 0; i < kAtOnce; ++i) {
      EXPECT_EQ(Text(answers[i]), alone[i]) << "request " << i;
      if (answers[i].ok()) largest = std::max(largest, answers[i]->stats.tile_queries);
    }
  }
  EXPECT_GE(largest, 3u) << "of 32 searches at once, no three met in 200 rounds";
}

}  // namespace
}  // namespace mrl
