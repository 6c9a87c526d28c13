// Bad profiles and bad jobs of FunnelService, through real gRPC.
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "mrl/v1/funnel.pb.h"
#include "tests/integration/bad_case.h"

namespace mrl {
namespace {

using grpc::StatusCode;

class BadProfile : public BadLiveCase {
 protected:
  void SetUp() override {
    BadLiveCase::SetUp();
    v1::CreateProfileRequest request = Good();
    request.set_profile("fast");
    request.set_make_default(true);
    ASSERT_TRUE(Send("FunnelService/CreateProfile", request).ok());
  }
  static v1::CreateProfileRequest Good() {
    v1::CreateProfileRequest request;
    request.set_collection("notes");
    request.set_profile("fresh");
    request.set_funnel_text("16b8:100,64:10");
    return request;
  }
  void ExpectCreate(const v1::CreateProfileRequest& request, const std::string& words,
                    StatusCode code = StatusCode::INVALID_ARGUMENT) {
    ExpectBothWays("FunnelService/CreateProfile", request, code, words,
                   absl::StrCat("a profile, ", words));
  }
  static v1::UpdateProfileRequest Update() {
    v1::UpdateProfileRequest request;
    request.set_collection("notes");
    request.set_profile("fast");
    return request;
  }
  void ExpectUpdate(const v1::UpdateProfileRequest& request, const std::string& words,
                    StatusCode code = StatusCode::INVALID_ARGUMENT) {
    Expect(Send("FunnelService/UpdateProfile", request), code, words,
           absl::StrCat("a change, ", words));
  }
};

TEST_F(BadProfile, Names) {
  for (const std::string& name :
       {std::string(), std::string(" "), std::string("Fast"), std::string("-fast"),
        std::string("_fast"), std::string("fa st"), std::string("fast "), std::string("fa/st"),
        std::string("f\xc3\xa9"), std::string("fast\n"), std::string("fast,slow"),
        std::string(64, 'f')}) {
    v1::CreateProfileRequest request = Good();
    request.set_profile(name);
    ExpectCreate(request, absl::StrCat("'", name.substr(0, 63),
                                       "' is no name of a profile; 1 to 63 of a-z"));
  }
  v1::CreateProfileRequest request = Good();
  request.set_profile("fast");
  ExpectCreate(request, "profile 'fast' exists already", StatusCode::ALREADY_EXISTS);
  ExpectCases(26);
}

TEST_F(BadProfile, Funnels) {
  const std::pair<std::string, std::string> funnels[] = {
      {"", "does not begin with its dims"},
      {"fast", "does not begin with its dims"},
      {"16:", "keep is not a number from 1 to 1000000"},
      {"16b:1", "no number of bits after `b`"},
      {"17:100,64:10", "17 dims are not on the ladder 16,32,64"},
      {"16b7:100,64:10", "the code 16b7 is not stored, these are: 16b8,32b8,64b8"},
      {"16:20,32:30,64:10", "stage 2: keep grows to 30, stage 1 keeps 20"},
      {"16:100,64:5", "stage 2: keep is 5, it must be k = 10 at least"},
      {"16:2000000,64:10", "stage 1: keep is 2000000, the limit is 1000000"},
      {"64:100,16:50", "stage 2: dims x bits is 512, it must be above the 2048 of stage 1"},
      {"tree/16:100,64:10", "the coarse kind `tree` is not built, these are: scan"},
      {"scan(nosuch=1)/16:100,64:10", "scan: unknown parameter `nosuch`, scan takes none"},
      {std::string(4097, '1'), "funnel has 4097 bytes; the limit is 4096"}};
  for (const auto& [funnel, words] : funnels) {
    v1::CreateProfileRequest create = Good();
    create.set_funnel_text(funnel);
    ExpectCreate(create, words);
    v1::UpdateProfileRequest update = Update();
    update.set_funnel_text(funnel);
    ExpectUpdate(update, words);
    v1::MeasureRecallRequest measure;
    measure.set_collection("notes");
    measure.set_funnel_text(funnel);
    Expect(Send("FunnelService/MeasureRecall", measure), StatusCode::INVALID_ARGUMENT, words,
           absl::StrCat("measured, ", words));
  }
  ExpectCases(4 * 13);
}

TEST_F(BadProfile, NumbersAndNotes) {
  for (const uint32_t k : {10'001u, 65'536u, 0xffffffffu}) {
    v1::CreateProfileRequest create = Good();
    create.set_funnel_text("16b8:1000000,64");
    create.set_k(k);
    ExpectCreate(create, absl::StrCat("k is ", k, ", it goes from 1 to 10000"));
    v1::UpdateProfileRequest update = Update();
    update.set_funnel_text("16b8:1000000,64");
    update.set_k(k);
    ExpectUpdate(update, absl::StrCat("k is ", k, ", it goes from 1 to 10000"));
  }
  for (const size_t bytes : {1001, 100'000}) {
    v1::CreateProfileRequest create = Good();
    create.set_note(std::string(bytes, 'n'));
    ExpectCreate(create, absl::StrCat("the note has ", bytes, " bytes; the limit is 1000"));
    v1::UpdateProfileRequest update = Update();
    update.set_funnel_text("16b8:100,64:10");
    update.set_note(create.note());
    ExpectUpdate(update, absl::StrCat("the note has ", bytes, " bytes; the limit is 1000"));
  }
  for (const double share : {-0.1, 1.01, 2.0, std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    v1::UpdateProfileRequest update = Update();
    update.set_shadow_share(share);
    ExpectUpdate(update, absl::StrCat("the shadow's share is ", share, "; 0 to 1 is accepted"));
  }
  ExpectCases(21);
}

TEST_F(BadProfile, ThatAreNotThere) {
  for (const std::string& name : {std::string(), std::string("nope"), std::string("Fast"),
                                  std::string("fast "), std::string("f\xc3\xa9")}) {
    const std::string words = absl::StrCat("profile '", name, "' does not exist; these do: 'fast'");
    v1::GetProfileRequest get;
    get.set_collection("notes");
    get.set_profile(name);
    Expect(Send("FunnelService/GetProfile", get), StatusCode::NOT_FOUND, words, "got");
    v1::UpdateProfileRequest update = Update();
    update.set_profile(name);
    ExpectUpdate(update, words, StatusCode::NOT_FOUND);
    update.set_funnel_text("16b8:100,64:10");
    ExpectUpdate(update, words, StatusCode::NOT_FOUND);
    v1::DeleteProfileRequest drop;
    drop.set_collection("notes");
    drop.set_profile(name);
    Expect(Send("FunnelService/DeleteProfile", drop), StatusCode::NOT_FOUND, words, "deleted");
    if (name.empty()) continue;  // leaves it to the default
    v1::MeasureRecallRequest measure;
    measure.set_collection("notes");
    measure.set_profile(name);
    Expect(Send("FunnelService/MeasureRecall", measure), StatusCode::NOT_FOUND, words, "measured");
  }
  for (const uint32_t version : {2u, 0xffffffffu}) {
    v1::UpdateProfileRequest update = Update();
    update.set_serving_version(version);
    ExpectUpdate(update, absl::StrCat("profile 'fast' has no version ", version, "; it has 1"),
                 StatusCode::NOT_FOUND);
  }
  v1::UpdateProfileRequest update = Update();
  update.set_serving_version(0);
  ExpectUpdate(update, "profile 'fast' has no version before 1, which serves",
               StatusCode::NOT_FOUND);
  v1::DeleteProfileRequest drop;
  drop.set_collection("notes");
  drop.set_profile("fast");
  Expect(Send("FunnelService/DeleteProfile", drop), StatusCode::FAILED_PRECONDITION,
         "profile 'fast' is the default; make another the default, or none, before", "default");
  ExpectCases(28);
}

class BadJob : public BadProfile {
 protected:
  // The queries of any of the three jobs.
  void ExpectQueries(const v1::JobQueries& queries, const std::string& words,
                     StatusCode code = StatusCode::INVALID_ARGUMENT,
                     const std::string& collection = "notes") {
    const auto send = [&](const std::string& method, auto request) {
      request.set_collection(collection);
      *request.mutable_queries() = queries;
      Expect(Send(absl::StrCat("FunnelService/", method), request), code, words,
             absl::StrCat(method, ", ", words));
    };
    send("MeasureRecall", v1::MeasureRecallRequest());
    send("TuneFunnel", v1::TuneFunnelRequest());
    send("AnalyzeDimensions", v1::AnalyzeDimensionsRequest());
  }
};

TEST_F(BadJob, Queries) {
  v1::JobQueries queries;
  for (const uint32_t sample : {10'001u, 0xffffffffu}) {
    queries.set_sample(sample);
    ExpectQueries(queries, absl::StrCat("sample is ", sample, "; 0 to 10000 are accepted"));
  }
  queries.Clear();
  ExpectQueries(queries, "collection 'halves' has no points to measure with",
                StatusCode::FAILED_PRECONDITION, "halves");
  queries.mutable_vectors()->set_dtype(v1::DTYPE_F32);
  queries.mutable_vectors()->set_data(std::string(4 * 64 * 4, '\1'));
  for (const uint32_t rows : {0u, 10'001u, 0xffffffffu}) {
    queries.set_rows(rows);
    ExpectQueries(queries, absl::StrCat("rows is ", rows, "; 1 to 10000 are accepted"));
  }
  for (const uint32_t rows : {3u, 5u, 7u, 9999u}) {
    queries.set_rows(rows);
    ExpectQueries(queries,
                  absl::StrCat("vectors has 256 elements, which ", rows, " rows do not divide"));
  }
  for (const uint32_t rows : {1u, 2u, 256u}) {
    queries.set_rows(rows);
    ExpectQueries(queries, absl::StrCat("vector has ", 256 / rows,
                                        " dimensions; collection 'notes' takes 64 or a ladder"));
  }
  queries.set_rows(4);
  for (const int dtype : {0, 3, -1, 1000}) {
    queries.mutable_vectors()->set_dtype(static_cast<v1::DType>(dtype));
    ExpectQueries(queries, absl::StrCat("dtype is ", dtype, "; one of DTYPE_F32, DTYPE_F16"));
  }
  queries.mutable_vectors()->set_dtype(v1::DTYPE_F32);
  queries.mutable_vectors()->set_data(std::string(1023, '\1'));
  ExpectQueries(queries, "vector has 1023 bytes, which is no multiple of 4");
  queries.mutable_vectors()->set_data(std::string((16 << 20) + 4, '\1'));
  ExpectQueries(queries, "vectors has 16777220 bytes; the limit is 16777216");
  ExpectCases(3 * 19);
}

TEST_F(BadJob, Targets) {
  const auto tune = [this](const v1::TuneFunnelRequest& request, const std::string& words) {
    Expect(Send("FunnelService/TuneFunnel", request), StatusCode::INVALID_ARGUMENT, words, words);
  };
  v1::TuneFunnelRequest request;
  request.set_collection("notes");
  for (const double recall : {0.0, -1.0, 1.001, 95.0, HUGE_VAL, std::nan("")}) {
    request.set_recall(recall);
    tune(request, absl::StrCat("the target recall is ", recall, "; above 0 to 1 is allowed"));
  }
  for (const double target : {0.0, -1.0, std::nan("")}) {
    request.set_p99_ms(target);
    tune(request, absl::StrCat("p99_ms is ", target, "; it is above 0"));
    request.set_bytes(target);
    tune(request, absl::StrCat("bytes is ", target, "; it is above 0"));
  }
  request.set_recall(0.9);
  for (const uint32_t k : {10'001u, 0xffffffffu}) {
    request.set_k(k);
    tune(request, absl::StrCat("k is ", k, "; it goes from 1 to 10000"));
    v1::MeasureRecallRequest measure;
    measure.set_collection("notes");
    measure.set_k(k);
    Expect(Send("FunnelService/MeasureRecall", measure), StatusCode::INVALID_ARGUMENT,
           absl::StrCat("k is ", k, ", it goes from 1 to 10000"), "measured");
    v1::AnalyzeDimensionsRequest analyse;
    analyse.set_collection("notes");
    analyse.set_k(k);
    Expect(Send("FunnelService/AnalyzeDimensions", analyse), StatusCode::INVALID_ARGUMENT,
           absl::StrCat("k is ", k, "; 1 to 10000 are accepted"), "analysed");
  }
  request.clear_k();
  for (const char* name : {"Fast", "a b", "-", "\xc3\xa9"}) {
    request.set_save_as(name);
    tune(request, absl::StrCat("'", name, "' is no name of a profile; 1 to 63 of a-z"));
  }
  v1::MeasureRecallRequest measure;
  measure.set_collection("notes");
  for (const double share : {-0.1, 1.5, std::nan(""), HUGE_VAL}) {
    measure.set_max_changed_share(share);
    Expect(Send("FunnelService/MeasureRecall", measure), StatusCode::INVALID_ARGUMENT,
           absl::StrCat("max_changed_share is ", share, "; above 0 to 1 is accepted"), "measured");
  }
  measure.clear_max_changed_share();
  measure.set_filter("nosuch = 1");
  Expect(Send("FunnelService/MeasureRecall", measure), StatusCode::INVALID_ARGUMENT,
         "field 'nosuch' is not indexed; these are: word:keyword", "measured");
  v1::AnalyzeDimensionsRequest analyse;
  analyse.set_collection("notes");
  for (const uint32_t sample : {1u, 2u, 100'001u, 0xffffffffu}) {
    analyse.set_sample(sample);
    Expect(Send("FunnelService/AnalyzeDimensions", analyse), StatusCode::INVALID_ARGUMENT,
           absl::StrCat("sample is ", sample, "; 3 to 100000 are accepted"), "analysed");
  }
  ExpectCases(31);
}

}  // namespace
}  // namespace mrl
