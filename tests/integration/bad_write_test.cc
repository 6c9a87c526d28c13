// Bad writes through real gRPC: points by UpsertPoints and WritePoints, payloads, ids, conditions.
// After each test the collections are as they were.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/index.pb.h"
#include "mrl/v1/point.pb.h"
#include "mrl/v1/search.pb.h"
#include "mrl/v1/snapshot.pb.h"
#include "tests/integration/bad_case.h"
#include "tests/integration/raw_call.h"

namespace mrl {
namespace {

using grpc::StatusCode;

class BadWrite : public BadLiveCase {
 protected:
  static v1::PointWrite Good() {
    v1::PointWrite point;
    point.mutable_id()->set_text("bad");
    SetVector(SampleVector(9, 7), &point);
    return point;
  }
  static void SetVector(const std::vector<float>& vector, v1::PointWrite* point) {
    point->mutable_vector()->set_dtype(v1::DTYPE_F32);
    point->mutable_vector()->set_data(BytesOf(vector));
  }
  // As the second point of a request, whose first one is good: neither may be stored.
  grpc::Status Upsert(const std::string& collection, const v1::PointWrite& point) {
    v1::UpsertPointsRequest request;
    request.set_collection(collection);
    *request.add_points() = Good();
    request.mutable_points(0)->mutable_id()->set_text("good");
    *request.add_points() = point;
    return Send("PointService/UpsertPoints", request);
  }
  // On a stream, where what is wrong with an item is told in the reply.
  grpc::Status Write(const std::string& collection, const v1::PointWrite& point) {
    v1::WritePointsRequest request;
    request.set_collection(collection);
    *request.add_upserts() = point;
    const RawReply reply =
        RawCall(channel_, "/mrl.v1.PointService/WritePoints", request.SerializeAsString());
    v1::WritePointsResponse response;
    if (!reply.status.ok() || reply.messages.size() != 1) return reply.status;
    EXPECT_TRUE(response.ParseFromString(reply.messages[0]));
    if (response.failures_size() != 1) return grpc::Status::OK;
    EXPECT_EQ(response.points(), 0u);
    EXPECT_EQ(response.failures(0).index(), 0u);
    return {static_cast<StatusCode>(response.failures(0).code()), response.failures(0).message()};
  }
  grpc::Status UpdatePayload(const std::string& payload) {
    v1::UpdatePayloadRequest request;
    request.set_collection("notes");
    for (uint64_t i = 0; i < 2; ++i) {
      request.add_items()->mutable_id()->set_number(i);
      request.mutable_items(static_cast<int>(i))->set_payload_json(i == 0 ? "{}" : payload);
    }
    return Send("PointService/UpdatePayload", request);
  }

  void ExpectPoint(const v1::PointWrite& point, const std::string& words, const std::string& what,
                   StatusCode code = StatusCode::INVALID_ARGUMENT,
                   const std::string& collection = "notes") {
    Expect(Upsert(collection, point), code, words, absl::StrCat(what, ", upserted"));
    Expect(Write(collection, point), code, words, absl::StrCat(what, ", written"));
  }
  void ExpectVector(const std::vector<float>& vector, const std::string& words,
                    const std::string& collection = "notes") {
    v1::PointWrite point = Good();
    SetVector(vector, &point);
    ExpectPoint(point, words, absl::StrCat("a vector, ", words), StatusCode::INVALID_ARGUMENT,
                collection);
  }
  void ExpectPayload(const std::string& payload, const std::string& words) {
    const std::string what = absl::StrCat("payload ", payload.substr(0, 60));
    v1::PointWrite point = Good();
    point.set_payload_json(payload);
    ExpectPoint(point, words, what);
    Expect(UpdatePayload(payload), StatusCode::INVALID_ARGUMENT, words,
           absl::StrCat(what, ", updated"));
  }
};

TEST_F(BadWrite, Dimensions) {
  for (const size_t dims :
       {0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 65, 127, 128, 1000, 4096, 65'537}) {
    const std::string words =
        absl::StrCat("its vector has ", dims, " dimensions; the collection has 64");
    v1::PointWrite point = Good();
    point.mutable_vector()->set_data(std::string(dims * 4, '\1'));
    ExpectPoint(point, words, absl::StrCat(dims, " dimensions"));
    point.mutable_vector()->set_dtype(v1::DTYPE_F16);
    point.mutable_vector()->set_data(std::string(dims * 2, '\1'));
    ExpectPoint(point, words, absl::StrCat(dims, " dimensions of f16"));
  }
  ExpectCases(64);
}

TEST_F(BadWrite, TypesAndRemainders) {
  for (const int dtype : {0, 3, 7, 255, 256, -1, 1000, std::numeric_limits<int>::max()}) {
    v1::PointWrite point = Good();
    point.mutable_vector()->set_dtype(static_cast<v1::DType>(dtype));
    ExpectPoint(point, absl::StrCat("dtype is ", dtype, "; one of DTYPE_F32, DTYPE_F16 is needed"),
                absl::StrCat("dtype ", dtype));
  }
  for (const auto& [dtype, width] : {std::pair(v1::DTYPE_F32, 4), std::pair(v1::DTYPE_F16, 2)}) {
    for (const size_t bytes : {1, 3, 5, 63, 127, 255, 257}) {
      v1::PointWrite point = Good();
      point.mutable_vector()->set_dtype(dtype);
      point.mutable_vector()->set_data(std::string(bytes, '\1'));
      ExpectPoint(point,
                  absl::StrCat("vector has ", bytes, " bytes, which is no multiple of ", width),
                  absl::StrCat(bytes, " bytes"));
    }
  }
  v1::PointWrite point = Good();
  point.clear_vector();
  ExpectPoint(point, "dtype is 0; one of DTYPE_F32", "no vector");
  ExpectCases(46);
}

TEST_F(BadWrite, NumbersThatAreNone) {
  const std::pair<float, const char*> values[] = {
      {std::numeric_limits<float>::quiet_NaN(), "nan"},
      {std::numeric_limits<float>::infinity(), "inf"},
      {-std::numeric_limits<float>::infinity(), "-inf"}};
  for (const auto& [value, name] : values) {
    for (const size_t at : {0, 1, 15, 16, 31, 32, 63}) {
      std::vector<float> vector = SampleVector(9, 7);
      vector[at] = value;
      for (const char* collection : {"notes", "halves"}) {
        ExpectVector(vector,
                     absl::StrCat("a value is NaN or infinite: ", name, " at dimension ", at),
                     collection);
      }
    }
  }
  for (const auto& [bits, name] : {std::pair("\x00\x7c", "inf"), std::pair("\x00\xfc", "-inf")}) {
    v1::PointWrite point = Good();
    point.mutable_vector()->set_dtype(v1::DTYPE_F16);
    point.mutable_vector()->set_data(std::string(2 * 63, '\1') + std::string(bits, 2));
    ExpectPoint(point, absl::StrCat(name, " at dimension 63"), absl::StrCat(name, " in f16"));
  }
  ExpectCases(88);
}

TEST_F(BadWrite, NumbersBeyondWhatIsStored) {
  for (const float value : {65'520.0F, 70'000.0F, -65'520.0F, -1e9F, 1e30F}) {
    for (const size_t at : {0, 31, 63}) {
      std::vector<float> vector = SampleVector(9, 7);
      vector[at] = value;
      ExpectVector(
          vector,
          absl::StrCat("a value is beyond the range of f16 (65504): ", value, " at dimension ", at),
          "halves");
    }
  }
  ExpectVector(std::vector<float>(kSampleDim, 3e38F), "its norm overflows f32: its square is ");
  ExpectVector(std::vector<float>(kSampleDim, -1e19F), ", the limit 3.40282e+38");
  ExpectVector(std::vector<float>(kSampleDim, 0.0F),
               "its norm is zero, which COSINE cannot compare");
  ExpectVector(std::vector<float>(kSampleDim, -0.0F),
               "its norm is zero, which COSINE cannot compare");
  ExpectVector(std::vector<float>(kSampleDim, 1e-30F), "its norm underflows f32: its square is ");
  ExpectVector(std::vector<float>(kSampleDim, 1e-22F), ", the least 1.17549e-38");
  ExpectCases(42);
}

TEST_F(BadWrite, Ids) {
  const std::pair<std::string, std::string> texts[] = {
      {"", "a point's id is the empty string"},
      {std::string(257, 'i'), "has 257 bytes; the limit is 256"},
      {std::string(300, '\n'), "has 300 bytes; the limit is 256"},
      {std::string(65'536, 'i'), "has 65536 bytes; the limit is 256"},
      {std::string(1 << 20, '/'), "has 1048576 bytes; the limit is 256"}};
  const auto expect = [this](const v1::PointId& id, const std::string& words) {
    const std::string what = absl::StrCat("an id of ", id.text().size());
    v1::PointWrite point = Good();
    *point.mutable_id() = id;
    ExpectPoint(point, words, what);
    v1::WritePointsRequest write;
    v1::DeletePointsRequest remove;
    v1::UpdatePayloadRequest update;
    v1::BatchGetPointsRequest get;
    for (int i = 0; i < 2; ++i) {  // a good one before it
      v1::PointId one;
      one.set_number(77);
      if (i == 1) one = id;
      *write.add_deletes() = one;
      *remove.add_ids() = one;
      *update.add_items()->mutable_id() = one;
      *get.add_ids() = one;
    }
    const auto send = [&](const std::string& method, auto& request) {
      request.set_collection("notes");
      Expect(Send(absl::StrCat("PointService/", method), request), StatusCode::INVALID_ARGUMENT,
             words, absl::StrCat(method, " of ", what));
    };
    send("WritePoints", write);
    send("DeletePoints", remove);
    send("UpdatePayload", update);
    send("BatchGetPoints", get);
  };
  for (const auto& [text, words] : texts) {
    v1::PointId id;
    id.set_text(text);
    expect(id, words);
  }
  expect(v1::PointId(), "id is empty; a number or a text is needed");
  ExpectCases(36);
}

TEST_F(BadWrite, PayloadsThatAreNoObject) {
  const std::string texts[] = {" ",
                               "null",
                               "true",
                               "1",
                               "1.5",
                               "\"text\"",
                               "[]",
                               "[{}]",
                               "{",
                               "}",
                               "{}{}",
                               "{}x",
                               "{},",
                               "x{}",
                               "{a:1}",
                               "{'a':1}",
                               "{\"a\"}",
                               "{\"a\":}",
                               "{\"a\":1,",
                               "{\"a\":1,}",
                               "{\"a\":01}",
                               "{\"a\":+1}",
                               "{\"a\":.5}",
                               "{\"a\":1.}",
                               "{\"a\":1e}",
                               "{\"a\":0x1}",
                               "{\"a\":NaN}",
                               "{\"a\":nul}",
                               "{\"a\":'b'}",
                               "{\"a\":\"b}",
                               "{\"a\":\"\n\"}",
                               "{\"a\":\"\\x\"}",
                               "{\"a\":\"\\u12\"}",
                               "{\"a\":\"\\ud800\"}",
                               "{\"a\":[1}",
                               "{\"a\":[1,]}",
                               "{\"a\":{}",
                               "{\"a\":1 \"b\":2}",
                               "{\"a\":1}//",
                               "/**/{}",
                               "{\"a\":1e999}",
                               "{\"a\":True}",
                               "{1:2}",
                               "{null:1}",
                               "{\"a\"=1}",
                               "{\"a\":1;}",
                               std::string("{\"a\":\"\0\"}", 9),
                               std::string("{}\0", 3),
                               std::string("{}\0x", 4)};
  for (const std::string& text : texts) {
    ExpectPayload(text, absl::StrCat("payload of ", text.size(), " bytes is not a JSON object"));
  }
  ExpectCases(3 * 49);
}

TEST_F(BadWrite, PayloadsThatAreTooLarge) {
  const std::string around = R"({"t":""})";
  for (const size_t bytes : {(1 << 20) + 1, 2 << 20, 5 << 20}) {
    ExpectPayload(R"({"t":")" + std::string(bytes - around.size(), 'x') + "\"}",
                  absl::StrCat("payload has ", bytes, " bytes; the limit is 1048576"));
  }
  for (const size_t levels : {64, 65, 1000, 100'000}) {
    for (const auto& [open, close] : {std::pair("[", "]"), std::pair("{\"a\":", "}")}) {
      std::string text = "{\"a\":";
      for (size_t i = 0; i < levels; ++i) text += open;
      text += "1";
      for (size_t i = 0; i < levels; ++i) text += close;
      ExpectPayload(text + "}", "payload nests deeper than 64 levels, which is the limit");
    }
  }
  // Not even JSON.
  ExpectPayload(std::string(1 << 20, '['), "payload nests deeper than 64 levels");
  ExpectPayload(std::string(1 << 20, '{'), "payload nests deeper than 64 levels");
  ExpectCases(3 * 13);
}

TEST_F(BadWrite, PayloadsThatDoNotFitTheFields) {
  const std::tuple<const char*, std::vector<std::string>, const char*> fields[] = {
      {"word",
       {"1", "-1.5", "true", "{}", "[[]]", R"(["a",1])", R"({"a":1})"},
       "a string is needed"},
      {"n",
       {R"("1")", "1.5", "1e3", "true", "[[1]]", R"([1,"2"])", "{}", "9223372036854775808",
        "-9223372036854775809", "18446744073709551616"},
       "a whole number of 64 bits is needed"},
      {"x", {R"("1.5")", "true", "{}", R"([1.5,"2"])", "[[]]"}, "a number is needed"},
      {"flag", {"0", "1", R"("true")", "{}", "[true,1]"}, "true or false is needed"},
      {"at", {"12", "true", "{}", "[[]]"}, "a string in RFC 3339 is needed"},
      {"at",
       {R"("")", R"("yesterday")", R"("2024")", R"("2024-13-01")", R"("2024-02-30T00:00:00Z")",
        R"("2024-05-01T25:00:00Z")", R"("2024-05-01T12:00:00")", R"("infinite-future")"},
       "is no datetime; RFC 3339 is needed, such as 2024-05-01T12:00:00Z"}};
  for (const auto& [field, values, words] : fields) {
    for (const std::string& value : values) {
      const std::string payload = absl::StrCat("{\"", field, "\":", value, "}");
      ExpectPayload(payload, words);
      ExpectPayload(payload, absl::StrCat("payload field '", field, "' is "));
    }
  }
  ExpectPayload(R"({"author":{"name":1}})", "payload field 'author.name' is 1; a string is needed");
  ExpectPayload(R"({"author":{"name":[["a"]]}})", "payload field 'author.name' is an array");
  ExpectPayload(absl::StrCat(R"({"word":")", std::string(1025, 'w'), "\"}"),
                "it has 1025 bytes; the limit of a keyword is 1024");
  std::string many = "0";
  for (int i = 0; i < 1024; ++i) absl::StrAppend(&many, ",", i);
  ExpectPayload(absl::StrCat(R"({"n":[)", many, "]}"),
                "payload field 'n' has 1025 values; the limit is 1024");
  ExpectCases(3 * (2 * 39 + 4));
}

TEST_F(BadWrite, Conditions) {
  v1::PointWrite point = Good();
  point.mutable_id()->set_number(1);
  point.set_if_absent(true);
  ExpectPoint(point, "point '1' exists already", "if_absent", StatusCode::ALREADY_EXISTS);
  for (const uint64_t sequence : {uint64_t{0}, uint64_t{1}, uint64_t{3}, ~uint64_t{0}}) {
    point.set_if_sequence(sequence);
    ExpectPoint(point, absl::StrCat("point '1' has sequence 2; ", sequence, " was expected"),
                absl::StrCat("if_sequence ", sequence), StatusCode::ABORTED);
  }
  for (const uint64_t sequence : {uint64_t{0}, uint64_t{2}}) {
    point.mutable_id()->set_text("nobody");
    point.set_if_sequence(sequence);
    ExpectPoint(point,
                absl::StrCat("point 'nobody' does not exist; sequence ", sequence, " was expected"),
                absl::StrCat("if_sequence ", sequence, " of nobody"), StatusCode::ABORTED);
  }
  // Two of one id: the condition is held against what was there before the request.
  v1::UpsertPointsRequest twice;
  twice.set_collection("notes");
  for (int i = 0; i < 2; ++i) {
    *twice.add_points() = Good();
    twice.mutable_points(i)->mutable_id()->set_number(2);
    twice.mutable_points(i)->set_if_sequence(4);
  }
  Expect(Send("PointService/UpsertPoints", twice), StatusCode::ABORTED,
         "point '2' has sequence 3; 4 was expected", "one id twice");
  ExpectCases(15);
}

TEST_F(BadWrite, NumbersOfItems) {
  const auto expect = [this](const std::string& method, const std::string& field, int count,
                             const google::protobuf::Message& request) {
    Expect(Send(absl::StrCat("PointService/", method), request), StatusCode::INVALID_ARGUMENT,
           absl::StrCat(field, " has ", count, " entries; 1 to 10000 are accepted"),
           absl::StrCat(method, " of ", count));
  };
  for (const int count : {0, 10'001, 20'000}) {
    v1::UpsertPointsRequest upsert;
    v1::WritePointsRequest write, write_deletes;
    v1::DeletePointsRequest remove;
    v1::UpdatePayloadRequest update;
    v1::BatchGetPointsRequest get;
    for (int i = 0; i < count; ++i) {
      upsert.add_points()->mutable_id()->set_number(5);
      (i < 2 ? write.add_deletes() : write.add_upserts()->mutable_id())->set_number(5);
      write_deletes.add_deletes()->set_number(5);
      remove.add_ids()->set_number(5);
      update.add_items()->mutable_id()->set_number(5);
      get.add_ids()->set_number(5);
    }
    upsert.set_collection("notes");
    write.set_collection("notes");
    write_deletes.set_collection("notes");
    remove.set_collection("notes");
    update.set_collection("notes");
    get.set_collection("notes");
    expect("UpsertPoints", "points", count, upsert);
    expect("WritePoints", "upserts and deletes", count, write);
    expect("WritePoints", "upserts and deletes", count, write_deletes);
    expect("DeletePoints", "ids", count, remove);
    expect("UpdatePayload", "items", count, update);
    expect("BatchGetPoints", "ids", count, get);
  }
  ExpectCases(18);
}

TEST_F(BadWrite, Durabilities) {
  const auto expect = [this](const std::string& method, int durability, auto request) {
    request.set_collection("notes");
    request.set_durability(static_cast<v1::Durability>(durability));
    Expect(Send(absl::StrCat("PointService/", method), request), StatusCode::INVALID_ARGUMENT,
           absl::StrCat("durability is ", durability, "; DURABILITY_SYNC and _ASYNC are known"),
           absl::StrCat(method, " with durability ", durability));
  };
  for (const int durability : {3, 4, -1, 256, std::numeric_limits<int>::min()}) {
    v1::UpsertPointsRequest upsert;
    *upsert.add_points() = Good();
    expect("UpsertPoints", durability, upsert);
    v1::WritePointsRequest write;
    *write.add_upserts() = Good();
    expect("WritePoints", durability, write);
    v1::DeletePointsRequest remove;
    remove.add_ids()->set_number(1);
    expect("DeletePoints", durability, remove);
    v1::UpdatePayloadRequest update;
    update.add_items()->mutable_id()->set_number(1);
    expect("UpdatePayload", durability, update);
  }
  ExpectCases(20);
}

TEST_F(BadWrite, PointsThatAreNotThere) {
  for (const char* id : {"nobody", "0", "1 ", "\xc3\xa9"}) {
    v1::UpdatePayloadRequest update;
    update.set_collection("notes");
    update.add_items()->mutable_id()->set_number(1);
    update.add_items()->mutable_id()->set_text(id);
    Expect(Send("PointService/UpdatePayload", update), StatusCode::NOT_FOUND,
           absl::StrCat("point '", id, "' does not exist"), id);
  }
  for (const uint64_t sequence : {uint64_t{4}, ~uint64_t{0}}) {
    v1::BatchGetPointsRequest get;
    get.set_collection("notes");
    get.add_ids()->set_number(1);
    get.set_min_sequence(sequence);
    const std::string words =
        absl::StrCat("collection 'notes' has come to sequence 3; ", sequence, " was asked for");
    Expect(Send("PointService/BatchGetPoints", get), StatusCode::FAILED_PRECONDITION, words, "get");
    v1::SearchRequest search;
    search.set_collection("notes");
    search.mutable_id()->set_number(1);
    search.mutable_options()->set_min_sequence(sequence);
    Expect(Send("SearchService/Search", search), StatusCode::FAILED_PRECONDITION, words, "search");
  }
  ExpectCases(8);
}

TEST_F(BadWrite, CollectionsThatTakeNone) {
  const auto expect = [this](const std::string& method, const google::protobuf::Message& request) {
    Expect(Send(method, request), StatusCode::FAILED_PRECONDITION,
           "collection 'sample' is served with --index and ", method);
  };
  v1::UpsertPointsRequest upsert;
  upsert.set_collection("sample");
  *upsert.add_points() = Good();
  expect("PointService/UpsertPoints", upsert);
  v1::WritePointsRequest write;
  write.set_collection("sample");
  *write.add_upserts() = Good();
  expect("PointService/WritePoints", write);
  v1::DeletePointsRequest remove;
  remove.set_collection("sample");
  remove.add_ids()->set_text("p1");
  expect("PointService/DeletePoints", remove);
  v1::UpdatePayloadRequest update;
  update.set_collection("sample");
  update.add_items()->mutable_id()->set_text("p1");
  expect("PointService/UpdatePayload", update);
  v1::UpdateCollectionRequest change;
  change.mutable_collection()->set_name("sample");
  change.mutable_update_mask()->add_paths("fields");
  expect("CollectionService/UpdateCollection", change);
  v1::CompactCollectionRequest compact;
  compact.set_collection("sample");
  expect("CollectionService/CompactCollection", compact);
  v1::DeleteCollectionRequest drop;
  drop.set_name("sample");
  expect("CollectionService/DeleteCollection", drop);
  v1::BuildIndexRequest build;
  build.set_collection("sample");
  build.mutable_spec()->set_kind("ivf_scan");
  expect("IndexService/BuildIndex", build);
  v1::CreateSnapshotRequest snapshot;
  snapshot.set_collection("sample");
  snapshot.set_name("one");
  expect("SnapshotService/CreateSnapshot", snapshot);
  ExpectCases(9);
}

}  // namespace
}  // namespace mrl
