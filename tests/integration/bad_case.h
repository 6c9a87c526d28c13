// Requests that have to be refused, in tables: each case has its code and words, and after each the
// server still answers.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "tests/integration/served.h"

namespace mrl {

class BadCase : public Served {
 protected:
  void SetUp() override;
  // Adds this test's cases to those of the program, which prints their sum and, where all tests
  // ran, holds it to a least number.
  ~BadCase() override;

  grpc::Status Send(const std::string& path, const std::string& request);
  // `method` such as `PointService/UpsertPoints` of mrl.v1.
  grpc::Status Send(const std::string& method, const google::protobuf::Message& request);

  // One case: the code, and words, which name the thing and, where there are such, value and limit.
  void Expect(const grpc::Status& status, grpc::StatusCode code, const std::string& words,
              const std::string& what);
  // Two cases of a request that can be made and only validated.
  template <typename Request>
  void ExpectBothWays(const std::string& method, Request request, grpc::StatusCode code,
                      const std::string& words, const std::string& what) {
    for (const bool validate_only : {false, true}) {
      request.set_validate_only(validate_only);
      Expect(Send(method, request), code, words, what);
    }
  }
  // As Expect, of what gRPC refuses in words of its own, or in none. It is no case of a table.
  void ExpectCode(const grpc::Status& status, grpc::StatusCode code, const std::string& what);
  // At the end of a table: that nothing was left out of it.
  void ExpectCases(int at_least) const { EXPECT_GE(cases_, at_least); }
  // One text times all methods makes many cases and is no table.
  void LeaveOutOfSum() { cases_ = 0; }

  std::shared_ptr<grpc::Channel> channel_;

 private:
  std::shared_ptr<grpc::Channel> good_channel_;  // of a client that does nothing wrong
  std::string good_search_;
  int cases_ = 0;
};

// Beside them the server has collections that take writes: `notes`, f32 by cosine, and `halves`,
// f16 by inner product; both of kSampleDim dimensions. `notes` has fields of each type and a few
// points.
class BadLiveCase : public BadCase {
 protected:
  static constexpr int kNotes = 3;  // points 0 to 2, of sequences 1 to 3

  void Configure(server::Config* config) override;
  void SetUp() override;
  // That nothing was written.
  void TearDown() override;
};

// The elements as they travel.
std::string BytesOf(const std::vector<float>& vector);

}  // namespace mrl
