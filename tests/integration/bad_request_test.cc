#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/integration/served.h"

namespace mrl {
namespace {

using absl::StatusCode;

class BadRequest : public Served {
 protected:
  static v1::SearchRequest Good() {
    v1::SearchRequest request;
    request.set_collection("sample");
    SetVector(SampleVector(7, 0), request.mutable_vector());
    return request;
  }
  static void SetVector(const std::vector<float>& vector, v1::Vector* out) {
    out->set_dtype(v1::DTYPE_F32);
    out->set_data(vector.data(), vector.size() * sizeof(float));
  }
  void ExpectRefused(const v1::SearchRequest& request, const std::string& message) {
    ExpectError(wire().Search(request).status(), StatusCode::kInvalidArgument, message);
  }
  void ExpectFunnelRefused(const std::string& funnel, const std::string& message) {
    v1::SearchRequest request = Good();
    request.mutable_options()->set_funnel_text(funnel);
    ExpectRefused(request, message);
  }
};

TEST_F(BadRequest, TheGoodOneIsAnswered) { EXPECT_TRUE(wire().Search(Good()).ok()); }

TEST_F(BadRequest, UnknownCollectionListsThoseThatExist) {
  v1::SearchRequest request = Good();
  request.set_collection("nope");
  ExpectError(wire().Search(request).status(), StatusCode::kNotFound,
              "collection 'nope' does not exist; served: 'broken', 'sample'");
}

TEST_F(BadRequest, ADamagedCollectionIsDataLoss) {
  v1::SearchRequest request = Good();
  request.set_collection("broken");
  ExpectError(wire().Search(request).status(), StatusCode::kDataLoss,
              "collection 'broken' is not served: ");
}

TEST_F(BadRequest, WrongDimensionNamesThoseThatFit) {
  v1::SearchRequest request = Good();
  SetVector(std::vector<float>(50, 1.0f), request.mutable_vector());
  ExpectRefused(request,
                "vector has 50 dimensions; collection 'sample' takes 64 or a ladder step 16,32,64");
}

TEST_F(BadRequest, VectorsMustBeWhole) {
  v1::SearchRequest request = Good();
  request.mutable_vector()->set_data("abc");
  ExpectRefused(request, "vector has 3 bytes, which is no multiple of 4");
  request.mutable_vector()->set_dtype(v1::DTYPE_UNSPECIFIED);
  ExpectRefused(request, "dtype is 0; one of DTYPE_F32, DTYPE_F16 is needed");
  request.clear_vector();
  ExpectRefused(request, "a vector or an id is needed");
}

TEST_F(BadRequest, VectorsMustBeFiniteAndNotZero) {
  v1::SearchRequest request = Good();
  std::vector<float> vector = SampleVector(7, 0);
  vector[3] = std::nanf("");
  SetVector(vector, request.mutable_vector());
  ExpectRefused(request, "value at dimension 3 is nan");
  SetVector(std::vector<float>(kSampleDim, 0.0f), request.mutable_vector());
  ExpectRefused(request, "zero");
}

TEST_F(BadRequest, KHasLimits) {
  v1::SearchRequest request = Good();
  request.mutable_options()->set_k(0);
  ExpectRefused(request, "k is 0");
  request.mutable_options()->set_k(50'000);
  ExpectRefused(request, "k is 50000, it goes from 1 to 10000");
}

TEST_F(BadRequest, FunnelsAreCheckedByThePlanner) {
  ExpectFunnelRefused("16:20,32:30,64:10", "30");             // keep grows
  ExpectFunnelRefused("32:100,16:50", "dims x bits is 512");  // dims shrink
  ExpectFunnelRefused("20:100,64:10", "20");                  // off the ladder
  ExpectFunnelRefused("64b8:100", "64b8");                    // not stored
  ExpectFunnelRefused("tree/16:100,64:10", "tree");           // no such kind
  ExpectFunnelRefused("16:100,64:5", "5");                    // keep below k
  ExpectFunnelRefused("16:,64", "16:");                       // no funnel at all
  ExpectFunnelRefused(std::string(5000, '1'), "funnel has 5000 bytes; the limit is 4096");
}

TEST_F(BadRequest, TypedFunnelsAreCheckedAlike) {
  v1::SearchRequest request = Good();
  v1::Stage* stage = request.mutable_options()->mutable_funnel()->add_stages();
  stage->set_dims(20);
  stage->set_keep(100);
  ExpectRefused(request, "20");
}

TEST_F(BadRequest, UnknownAndEmptyIdsAreNamed) {
  v1::SearchRequest request = Good();
  request.mutable_id()->set_text("nobody");
  ExpectError(wire().Search(request).status(), StatusCode::kNotFound,
              "point 'nobody' is not in collection 'sample'");
  request.mutable_id()->clear_id();
  ExpectRefused(request, "id is empty; a number or a text is needed");
}

TEST_F(BadRequest, WhyNotHasALimit) {
  v1::ExplainSearchRequest request;
  *request.mutable_search() = Good();
  for (int i = 0; i < 101; ++i) request.add_why_not()->set_number(i);
  ExpectError(wire().ExplainSearch(request).status(), StatusCode::kInvalidArgument,
              "why_not has 101 ids; the limit is 100");
}

TEST_F(BadRequest, PagesAreChecked) {
  v1::ListCollectionsRequest request;
  request.set_page_size(-1);
  ExpectError(wire().ListCollections(request).status(), StatusCode::kInvalidArgument,
              "page_size is -1");
  request.set_page_size(1);
  request.set_page_token("*");
  ExpectError(wire().ListCollections(request).status(), StatusCode::kInvalidArgument,
              "page_token '*'");
}

TEST_F(BadRequest, APassedDeadlineIsSaid) {
  client::ConnectionOptions options;
  // In the past: at zero a quick answer may come within the millisecond that clocks round to.
  options.timeout = -absl::Seconds(1);
  const auto late = client::Connect(server_->address(), options);
  EXPECT_EQ(late->Search(Good()).status().code(), StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace mrl
