#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/served.h"

namespace mrl {
namespace {

using absl::StatusCode;

class Batch : public Served {
 protected:
  static std::vector<float> Queries(uint32_t rows) {
    std::vector<float> queries;
    for (uint32_t row = 0; row < rows; ++row) {
      const std::vector<float> vector = SampleVector(7, row);
      queries.insert(queries.end(), vector.begin(), vector.end());
    }
    return queries;
  }
  static v1::BatchSearchRequest Request(uint32_t rows) {
    v1::BatchSearchRequest request;
    request.set_collection("sample");
    request.set_rows(rows);
    const std::vector<float> queries = Queries(rows);
    request.mutable_queries()->set_dtype(v1::DTYPE_F32);
    request.mutable_queries()->set_data(queries.data(), queries.size() * sizeof(float));
    return request;
  }
  absl::Status Run(const v1::BatchSearchRequest& request) {
    return wire().BatchSearch(request,
                              [](const v1::BatchSearchResponse&) { return absl::OkStatus(); });
  }
};

TEST_F(Batch, EqualsOneSearchPerRow) {
  client::SearchOptions options;
  options.funnel = "16:100,64:10";
  const auto batch = client().BatchSearch("sample", Queries(50), 50, options);
  ASSERT_TRUE(batch.ok()) << batch.status();
  for (uint32_t row = 0; row < 50; ++row) {
    const auto single = client().Search("sample", SampleVector(7, row), options);
    ASSERT_TRUE(single.ok()) << single.status();
    EXPECT_EQ(Ids((*batch)[row]), Ids(*single)) << "row " << row;
    EXPECT_EQ((*batch)[row].stats.plan, "scan/16:100,64:10");
  }
}

// More rows than share an exact search, and the last of them fewer.
TEST_F(Batch, ExactEqualsOneSearchPerRow) {
  client::SearchOptions options;
  options.exact = true;
  const auto batch = client().BatchSearch("sample", Queries(70), 70, options);
  ASSERT_TRUE(batch.ok()) << batch.status();
  for (uint32_t row = 0; row < 70; ++row) {
    const client::SearchResult& one = (*batch)[row];
    const auto single = client().Search("sample", SampleVector(7, row), options);
    ASSERT_TRUE(single.ok()) << single.status();
    EXPECT_EQ(Ids(one), Ids(*single)) << "row " << row;
    EXPECT_EQ(one.stats.tile_queries, row < 64 ? 64u : 6u);
    EXPECT_GT(one.stats.engine_micros, 0);
  }
}

TEST_F(Batch, LargeResultsComeInChunksOfAtMostOneMegabyte) {
  v1::BatchSearchRequest request = Request(40);
  request.mutable_options()->set_k(400);
  request.mutable_options()->set_with_vector(true);
  int chunks = 0;
  size_t hits = 0, rows = 0;
  const absl::Status ended = wire().BatchSearch(request, [&](const v1::BatchSearchResponse& chunk) {
    ++chunks;
    EXPECT_LE(chunk.ByteSizeLong(), size_t{1} << 20);
    for (const auto& piece : chunk.results()) {
      hits += piece.hits_size();
      rows += piece.last() ? 1 : 0;
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(ended.ok()) << ended;
  EXPECT_EQ(hits, 40u * 400u);
  EXPECT_EQ(rows, 40u);
  EXPECT_GT(chunks, 3);
}

TEST_F(Batch, BadMatricesAreNamed) {
  v1::BatchSearchRequest request = Request(4);
  request.set_rows(0);
  ExpectError(Run(request), StatusCode::kInvalidArgument, "rows is 0; 1 to 100000 are accepted");
  request.set_rows(3);
  ExpectError(Run(request), StatusCode::kInvalidArgument,
              "queries has 256 elements, which 3 rows do not divide");
  request.set_rows(2);
  ExpectError(Run(request), StatusCode::kInvalidArgument, "vector has 128 dimensions");
}

TEST_F(Batch, TooManyHitsAreRefusedBeforeTheSearch) {
  v1::BatchSearchRequest request = Request(2000);
  request.mutable_options()->set_k(10'000);
  ExpectError(Run(request), StatusCode::kInvalidArgument,
              "k x rows is 20000000; the limit is 10000000");
}

TEST_F(Batch, ARowWithNanIsNamed) {
  v1::BatchSearchRequest request = Request(4);
  std::string* bytes = request.mutable_queries()->mutable_data();
  bytes->replace(2 * kSampleDim * 4, 4, "\xff\xff\xff\x7f", 4);
  ExpectError(Run(request), StatusCode::kInvalidArgument, "row 2: ");
}

TEST_F(Batch, AReaderThatStopsLeavesTheServerFree) {
  v1::BatchSearchRequest request = Request(200);
  request.mutable_options()->set_k(400);
  request.mutable_options()->set_with_vector(true);
  for (int i = 0; i < 4; ++i) {  // more than there are workers
    const absl::Status ended = wire().BatchSearch(
        request, [](const v1::BatchSearchResponse&) { return absl::AbortedError("enough"); });
    EXPECT_EQ(ended.code(), StatusCode::kAborted);
  }
  EXPECT_TRUE(client().Search("sample", SampleVector(7, 0)).ok());
}

}  // namespace
}  // namespace mrl
