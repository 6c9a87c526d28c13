// Bad searches through real gRPC, bad names of collections to all methods, and bytes that are no
// message.
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/search.pb.h"
#include "tests/integration/bad_case.h"
#include "tests/integration/raw_call.h"

namespace mrl {
namespace {

using grpc::StatusCode;

enum class Kind { kSearch, kExplain, kBatch };
constexpr Kind kKinds[] = {Kind::kSearch, Kind::kExplain, Kind::kBatch};

// One query, to be sent by any of the three searching methods.
struct Query {
  std::string collection = "sample";
  std::string bytes;
  int dtype = v1::DTYPE_F32;
  v1::SearchOptions options;
};

class BadInput : public BadCase {
 protected:
  static Query Good() {
    Query query;
    query.bytes = BytesOf(SampleVector(7, 0));
    return query;
  }
  using BadCase::Send;
  grpc::Status Send(Kind kind, const Query& query) {
    v1::SearchRequest search;
    search.set_collection(query.collection);
    search.mutable_vector()->set_data(query.bytes);
    search.mutable_vector()->set_dtype(static_cast<v1::DType>(query.dtype));
    *search.mutable_options() = query.options;
    if (kind == Kind::kSearch) {
      return Send("/mrl.v1.SearchService/Search", search.SerializeAsString());
    }
    if (kind == Kind::kExplain) {
      v1::ExplainSearchRequest explain;
      *explain.mutable_search() = search;
      return Send("/mrl.v1.SearchService/ExplainSearch", explain.SerializeAsString());
    }
    v1::BatchSearchRequest batch;
    batch.set_collection(query.collection);
    batch.set_rows(1);
    *batch.mutable_queries() = search.vector();
    *batch.mutable_options() = query.options;
    return Send("/mrl.v1.SearchService/BatchSearch", batch.SerializeAsString());
  }
  void ExpectAll(const Query& query, StatusCode code, const std::string& words,
                 const std::string& what) {
    for (const Kind kind : kKinds) {
      Expect(Send(kind, query), code, words, absl::StrCat(what, " by ", static_cast<int>(kind)));
    }
  }
};

// Whether a method needs the collection that it names to be there.
bool LooksUpCollection(const google::protobuf::MethodDescriptor& method) {
  // Snapshots outlive their collections: their names are checked, and nothing is looked up.
  return server::FindMethod(method.name())->one_collection && method.name() != "CreateCollection" &&
         method.service()->name() != "SnapshotService";
}

TEST_F(BadInput, NamesOfCollections) {
  const std::string unknown[] = {
      "",        "nope",          "SAMPLE",    "sample ",
      " sample", "sample/",       "../sample", "%2e%2e",
      "a/b/c",   "sample\n",      "*",         "sample\t",
      "ß",       "`id`",          "\"",        "{}",
      "$HOME",   "sample,broken", "0",         std::string("sample\0", 7)};
  for (const std::string& name : unknown) {
    for (const auto* method : DeclaredMethods()) {
      if (!LooksUpCollection(*method)) continue;
      Expect(Send(PathOf(*method), RequestNaming(*method, name)), StatusCode::NOT_FOUND,
             absl::StrCat("collection '", name.c_str()),
             absl::StrCat(method->name(), " of '", name, "'"));
    }
  }
  for (const auto* method : DeclaredMethods()) {
    if (!LooksUpCollection(*method)) continue;
    Expect(Send(PathOf(*method), RequestNaming(*method, std::string(129, 'n'))),
           StatusCode::INVALID_ARGUMENT, "the collection's name has 129 bytes; the limit is 128",
           method->name());
    if (method->name() == "DeleteCollection") continue;  // damage does not keep it
    Expect(Send(PathOf(*method), RequestNaming(*method, "broken")), StatusCode::DATA_LOSS,
           "collection 'broken' is not served", method->name());
  }
  ExpectCases(600);
  LeaveOutOfSum();
}

TEST_F(BadInput, Dimensions) {
  for (const size_t dims : {1, 2, 3, 8, 15, 17, 31, 33, 50, 63, 65, 96, 128, 1000, 4096, 100'000}) {
    Query query = Good();
    query.bytes = BytesOf(std::vector<float>(dims, 0.5f));
    ExpectAll(query, StatusCode::INVALID_ARGUMENT,
              absl::StrCat("has ", dims, " dimensions; collection 'sample' takes 64 or a ladder"),
              absl::StrCat(dims, " dimensions"));
    query.bytes.resize(dims * 2);
    query.dtype = v1::DTYPE_F16;
    ExpectAll(query, StatusCode::INVALID_ARGUMENT, absl::StrCat("has ", dims, " dimensions"),
              absl::StrCat(dims, " dimensions of f16"));
  }
  ExpectCases(96);
}

TEST_F(BadInput, TypesAndRemainders) {
  for (const int dtype : {0, 3, 7, -1, 1000, std::numeric_limits<int>::max()}) {
    Query query = Good();
    query.dtype = dtype;
    ExpectAll(query, StatusCode::INVALID_ARGUMENT,
              absl::StrCat("dtype is ", dtype, "; one of DTYPE_F32, DTYPE_F16 is needed"),
              absl::StrCat("dtype ", dtype));
  }
  for (const size_t bytes : {1, 2, 3, 5, 6, 7, 63, 255, 257}) {
    Query query = Good();
    query.bytes.resize(bytes);
    ExpectAll(query, StatusCode::INVALID_ARGUMENT,
              absl::StrCat("vector has ", bytes, " bytes, which is no multiple of 4"),
              absl::StrCat(bytes, " bytes"));
  }
  ExpectCases(45);
}

TEST_F(BadInput, NumbersThatAreNone) {
  const std::pair<float, const char*> values[] = {
      {std::numeric_limits<float>::quiet_NaN(), "nan"},
      {-std::numeric_limits<float>::quiet_NaN(), "nan"},
      {std::numeric_limits<float>::infinity(), "inf"},
      {-std::numeric_limits<float>::infinity(), "-inf"}};
  for (const auto& [value, name] : values) {
    for (const size_t at : {0, 1, 15, 16, 31, 32, 62, 63}) {
      std::vector<float> vector = SampleVector(7, 0);
      vector[at] = value;
      Query query = Good();
      query.bytes = BytesOf(vector);
      ExpectAll(query, StatusCode::INVALID_ARGUMENT, absl::StrCat("value at dimension ", at),
                absl::StrCat(name, " at ", at));
    }
  }
  for (const size_t dims : {16, 32, 64}) {
    Query query = Good();
    query.bytes = std::string(dims * 4, '\0');
    ExpectAll(query, StatusCode::INVALID_ARGUMENT, "zero", absl::StrCat(dims, " zeros"));
  }
  ExpectCases(105);
}

TEST_F(BadInput, NumbersOfHits) {
  for (const uint32_t k : {0u, 10'001u, 65'536u, 1u << 31, 0xffffffffu}) {
    Query query = Good();
    query.options.set_k(k);
    ExpectAll(query, StatusCode::INVALID_ARGUMENT, absl::StrCat("k is ", k),
              absl::StrCat("k = ", k));
  }
  ExpectCases(15);
}

TEST_F(BadInput, FunnelsInText) {
  const std::pair<std::string, std::vector<std::string>> funnels[] = {
      {"does not begin with its dims",
       {"",
        " ",
        ",",
        ":",
        ":10",
        "16:10,",
        ",64:10",
        "a:10",
        "-16:10",
        "+16:100,64:10",
        "16.5:10",
        "0x10:10",
        "1e2:10",
        "0:10",
        "4294967296:10",
        "99999999999999999999:1",
        "b8:100",
        "exact",
        "scan/",
        "scan/exact",
        "１６:100"}},
      {"keep is not a number from 1 to 1000000",
       {"16:", "16::10", "16:10:10", "16:a", "16:-10", "16:0", "16:4294967296,64:10",
        "16:100;64:10", "16:100,64:10\n#", std::string("16:100\0,64:10", 13)}},
      {"no number of bits after `b`", {"16b:100,64:10", "16b0:100,64:10", "16bb8:100,64:10"}},
      {"dims are not on the ladder 16,32,64", {"17:100,64:10", "128:100"}},
      {"the parameters of the kind do not end with `)`",
       {"scan(/16:100,64:10", "scan(nprobe=1/16:100,64:10"}},
      {"stage 2: dims x bits is 512, it must be above the 512 of stage 1", {"16:100,16:50,64:10"}},
      {"stage 2: dims x bits is 512, it must be above the 2048 of stage 1", {"64:100,16:50"}},
      {"stage 2: dims x bits is 512, it must be above the 1024 of stage 1", {"32:100,16:50,64:10"}},
      {"stage 2: keep grows to 30, stage 1 keeps 20", {"16:20,32:30,64:10"}},
      {"stage 2: keep grows to 10, stage 1 keeps 5", {"16:5,64:10"}},
      {"stage 2: keep is 5, it must be k = 10 at least", {"16:100,64:5"}},
      {"stage 1: keep is 2000000, the limit is 1000000", {"16:2000000,64:10"}},
      {"the code 16b7 is not stored, these are: 16b8,32b8", {"16b7:100,64:10"}},
      {"the code 64b8 is not stored", {"64b8:100"}},
      {"stage 3: the code 32b32 is not stored", {"16:100,32:99,32b32:98,64:10"}},
      {"the coarse kind `tree` is not built, these are: scan", {"tree/16:100,64:10"}},
      {"the coarse kind `faiss` is not built", {"faiss/16:100,64:10"}},
      {"`` is not the name of a coarse kind", {"/", "/16:100,64"}},
      {"`scan)` is not the name of a coarse kind", {"scan)/16:100,64:10"}},
      {"`nprobe` is not name=number", {"scan(nprobe)/16:100,64:10"}},
      {"`=1` is not name=number", {"scan(=1)/16:100,64:10"}},
      {"`nprobe=1)(a=2` is not name=number", {"scan(nprobe=1)(a=2)/16:100,64:10"}},
      {"scan: unknown parameter `nosuch`, scan takes none", {"scan(nosuch=1)/16:100,64:10"}},
      {"funnel has 4097 bytes; the limit is 4096", {std::string(4097, '1')}},
      {"funnel has 100000 bytes; the limit is 4096", {std::string(100'000, ',')}}};
  for (const auto& [words, refused] : funnels) {
    for (const std::string& funnel : refused) {
      Query query = Good();
      query.options.set_funnel_text(funnel);
      ExpectAll(query, StatusCode::INVALID_ARGUMENT, words,
                absl::StrCat("funnel '", funnel.substr(0, 40), "'"));
    }
  }
  ExpectCases(177);
}

TEST_F(BadInput, TypedFunnels) {
  using Stages = std::vector<std::array<uint32_t, 3>>;
  const std::tuple<Stages, std::string, std::string> funnels[] = {
      {{{0, 0, 0}}, "", "stage 1: 0 dims are not on the ladder 16,32,64"},
      {{{16, 0, 0}, {64, 0, 10}}, "", "stage 1: keep is missing"},
      {{{0xffffffffu, 0xffffffffu, 0xffffffffu}}, "", "4294967295 dims are not on the ladder"},
      {{{16, 0, 0xffffffffu}, {64, 0, 10}}, "", "keep is 4294967295, the limit is 1000000"},
      {{{16, 3, 100}, {64, 0, 10}}, "", "the code 16b3 is not stored, these are: 16b8,32b8"},
      {{{64, 0, 100}, {16, 0, 10}}, "", "it must be above the 2048 of stage 1"},
      {{{16, 0, 100}, {64, 0, 10}}, "nosuch", "the coarse kind `nosuch` is not built"},
      {{{16, 0, 100}, {64, 0, 10}}, std::string(10'000, 'k'), "the coarse kind `kkk"},
      {Stages(17, {16, 0, 100}), "", "the funnel has 17 stages, the limit is 16"},
      {Stages(10'000, {16, 0, 100}), "", "the funnel has 10000 stages, the limit is 16"}};
  for (const auto& [stages, kind, words] : funnels) {
    Query query = Good();
    query.options.mutable_funnel()->set_kind(kind);
    for (const auto& [dims, bits, keep] : stages) {
      v1::Stage* stage = query.options.mutable_funnel()->add_stages();
      stage->set_dims(dims);
      stage->set_bits(bits);
      stage->set_keep(keep);
    }
    ExpectAll(query, StatusCode::INVALID_ARGUMENT, words, absl::StrCat("typed, ", words));
  }
  ExpectCases(30);
}

TEST_F(BadInput, Ids) {
  v1::SearchRequest request;
  request.set_collection("sample");
  for (const std::string& id : {std::string(), std::string(257, 'i'), std::string(100'000, 'i')}) {
    request.mutable_id()->set_text(id);
    Expect(Send("/mrl.v1.SearchService/Search", request.SerializeAsString()),
           StatusCode::INVALID_ARGUMENT, "id", absl::StrCat("an id of ", id.size()));
  }
  for (const char* id : {"nobody", "P1", "p01", "p500", "../p1", " p1", "p1 "}) {
    request.mutable_id()->set_text(id);
    Expect(Send("/mrl.v1.SearchService/Search", request.SerializeAsString()), StatusCode::NOT_FOUND,
           absl::StrCat("point '", id, "'"), id);
  }
  for (const uint64_t id : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 63, ~uint64_t{0}}) {
    request.mutable_id()->set_number(id);
    Expect(Send("/mrl.v1.SearchService/Search", request.SerializeAsString()), StatusCode::NOT_FOUND,
           absl::StrCat("point '", id, "'"), absl::StrCat("id ", id));
  }
  ExpectCases(14);
}

TEST_F(BadInput, Matrices) {
  for (const uint32_t rows : {0u, 100'001u, 0x7fffffffu, 0xffffffffu}) {
    v1::BatchSearchRequest request;
    request.set_collection("sample");
    request.set_rows(rows);
    request.mutable_queries()->set_dtype(v1::DTYPE_F32);
    Expect(Send("/mrl.v1.SearchService/BatchSearch", request.SerializeAsString()),
           StatusCode::INVALID_ARGUMENT, absl::StrCat("rows is ", rows, "; 1 to 100000"),
           absl::StrCat(rows, " rows"));
  }
  for (const uint32_t rows : {3u, 5u, 7u, 99'999u}) {
    v1::BatchSearchRequest request;
    request.set_collection("sample");
    request.set_rows(rows);
    request.mutable_queries()->set_dtype(v1::DTYPE_F32);
    request.mutable_queries()->set_data(std::string(size_t{4} * 64 * 4, 'x'));
    Expect(Send("/mrl.v1.SearchService/BatchSearch", request.SerializeAsString()),
           StatusCode::INVALID_ARGUMENT, absl::StrCat("which ", rows, " rows do not divide"),
           absl::StrCat(rows, " rows of 4"));
  }
  ExpectCases(8);
}

TEST_F(BadInput, Pages) {
  const std::string path = "/mrl.v1.CollectionService/ListCollections";
  v1::ListCollectionsRequest request;
  for (const int size : {-1, -100, std::numeric_limits<int>::min()}) {
    request.set_page_size(size);
    Expect(Send(path, request.SerializeAsString()), StatusCode::INVALID_ARGUMENT,
           absl::StrCat("page_size is ", size), absl::StrCat("page_size ", size));
  }
  request.clear_page_size();
  for (const std::string& token : {std::string("*"), std::string("===="), std::string("\xc3\xa9"),
                                   std::string(1'000'000, '!')}) {
    request.set_page_token(token);
    Expect(Send(path, request.SerializeAsString()), StatusCode::INVALID_ARGUMENT, "page_token '",
           absl::StrCat("token ", token.substr(0, 10)));
  }
  ExpectCases(7);
}

// gRPC's callback interface answers these itself, and with that code; a stream ends instead.
TEST_F(BadInput, BytesThatAreNoMessage) {
  std::mt19937 random(17);
  for (const auto* method : DeclaredMethods()) {
    for (int round = 0; round < 8; ++round) {
      // Field 1 with a length beyond the end: no parser may take it.
      std::string bytes("\x0a\xff\xff\xff\x7f", 5);
      for (int i = 0; i < round * 16; ++i) bytes.push_back(static_cast<char>(random()));
      const StatusCode code =
          method->client_streaming() ? StatusCode::INVALID_ARGUMENT : StatusCode::UNIMPLEMENTED;
      ExpectCode(Send(PathOf(*method), bytes), code,
                 absl::StrCat(method->name(), " of random bytes ", round));
    }
  }
}

TEST_F(BadInput, UnknownMethods) {
  for (const char* path : {"/", "/mrl.v1.SearchService/", "/mrl.v1.SearchService/search",
                           "/mrl.v2.SearchService/Search", "/SearchService/Search",
                           "/mrl.v1.SearchService/Search/", "/../Search"}) {
    ExpectCode(Send(path, std::string()), StatusCode::UNIMPLEMENTED, path);
  }
}

TEST_F(BadInput, TooMuch) {
  v1::SearchRequest request;
  request.set_collection(std::string(65 << 20, 'c'));
  Expect(Send("/mrl.v1.SearchService/Search", request.SerializeAsString()),
         StatusCode::RESOURCE_EXHAUSTED, "larger than max", "65 MiB");
  const RawReply reply = RawCall(channel_, "/mrl.v1.ServerService/GetServerInfo", "",
                                 {{"x-large", std::string(100'000, 'm')}});
  Expect(reply.status, StatusCode::RESOURCE_EXHAUSTED, "metadata", "100 KB of metadata");
  ExpectCases(2);
}

}  // namespace
}  // namespace mrl
