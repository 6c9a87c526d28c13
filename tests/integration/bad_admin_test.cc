// Bad changes to what is served, through real gRPC: collections, fields, aliases, indexes,
// snapshots and operations.
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <google/longrunning/operations.pb.h>

#include "absl/strings/str_cat.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/index.pb.h"
#include "mrl/v1/snapshot.pb.h"
#include "tests/integration/bad_case.h"

namespace mrl {
namespace {

using grpc::StatusCode;

// None is a name that a collection, a snapshot or a profile may get.
const std::vector<std::string>& BadNames() {
  static const auto& names = *new std::vector<std::string>{"",
                                                           " ",
                                                           "Notes",
                                                           "nOtes",
                                                           "-notes",
                                                           "_notes",
                                                           ".notes",
                                                           "no.tes",
                                                           "no/tes",
                                                           "..",
                                                           "../notes",
                                                           "notes ",
                                                           " notes",
                                                           "no tes",
                                                           "notes\n",
                                                           "n\xc3\xa9",
                                                           "*",
                                                           "%6e",
                                                           "a,b",
                                                           std::string("a\0", 2),
                                                           std::string(64, 'n'),
                                                           std::string(128, 'n')};
  return names;
}

class BadAdmin : public BadLiveCase {
 protected:
  void ExpectInvalid(const std::string& method, const google::protobuf::Message& request,
                     const std::string& words) {
    Expect(Send(method, request), StatusCode::INVALID_ARGUMENT, words,
           absl::StrCat(method, ", ", words));
  }
  void ExpectCreate(const v1::CreateCollectionRequest& request, const std::string& words,
                    StatusCode code = StatusCode::INVALID_ARGUMENT) {
    ExpectBothWays("CollectionService/CreateCollection", request, code, words,
                   absl::StrCat("a collection, ", words));
  }
  static v1::CreateCollectionRequest Good() {
    v1::CreateCollectionRequest request;
    request.set_name("fresh");
    request.set_dim(64);
    return request;
  }
};

TEST_F(BadAdmin, NamesOfCollections) {
  for (const std::string& name : BadNames()) {
    v1::CreateCollectionRequest request = Good();
    request.set_name(name);
    ExpectCreate(request,
                 absl::StrCat("' has ", name.size(), " bytes; 1 to 63 of a-z, 0-9, _ and -"));
  }
  for (const char* name : {"sample", "notes", "broken"}) {
    v1::CreateCollectionRequest request = Good();
    request.set_name(name);
    ExpectCreate(request, absl::StrCat("the name '", name, "' is taken"),
                 StatusCode::ALREADY_EXISTS);
  }
  ExpectCases(2 * 25);
}

TEST_F(BadAdmin, Shapes) {
  for (const uint32_t dim : {0u, 65'537u, 100'000u, 1u << 31, 0xffffffffu}) {
    v1::CreateCollectionRequest request = Good();
    request.set_dim(dim);
    ExpectCreate(request, absl::StrCat("dim is ", dim, "; 1 to 65536 is allowed"));
    request.add_ladder(16);
    ExpectCreate(request, absl::StrCat("dim is ", dim, "; 1 to 65536 is allowed"));
  }
  const std::pair<std::vector<uint32_t>, std::string> ladders[] = {
      {{0, 64}, "ladder step 0 follows 0; steps must increase"},
      {{16, 16, 64}, "ladder step 16 follows 16; steps must increase"},
      {{32, 16, 64}, "ladder step 16 follows 32; steps must increase"},
      {{16, 64, 64}, "ladder step 64 follows 64; steps must increase"},
      {{16, 32}, "the ladder ends at 32; its last step must be dim 64"},
      {{16, 128}, "ladder step 128 is above dim 64"},
      {{0xffffffffu}, "ladder step 4294967295 is above dim 64"},
      {std::vector<uint32_t>(65, 1), "the ladder has 65 steps; 1 to 64 are allowed"},
      {std::vector<uint32_t>(10'000, 1), "the ladder has 10000 steps; 1 to 64 are allowed"}};
  for (const auto& [ladder, words] : ladders) {
    v1::CreateCollectionRequest request = Good();
    for (const uint32_t step : ladder) request.add_ladder(step);
    ExpectCreate(request, words);
  }
  using Codes = std::vector<std::pair<uint32_t, uint32_t>>;
  const std::pair<Codes, std::string> codes[] = {
      {{{16, 0}}, "code 16b0: bits are 0; 1, 2, 4 or 8 are needed"},
      {{{16, 3}}, "code 16b3: bits are 3; 1, 2, 4 or 8 are needed"},
      {{{16, 16}}, "code 16b16: bits are 16; 1, 2, 4 or 8 are needed"},
      {{{16, 0xffffffffu}}, "code 16b4294967295: bits are 4294967295; 1, 2, 4 or 8 are needed"},
      {{{0, 8}}, "code 0b8: 0 dimensions are not on the ladder 16,32,64"},
      {{{17, 8}}, "code 17b8: 17 dimensions are not on the ladder 16,32,64"},
      {{{128, 8}}, "code 128b8: 128 dimensions are not on the ladder 16,32,64"},
      {{{16, 8}, {16, 8}}, "code 16b8 contains 16b8: name 16b8 only"},
      {{{32, 8}, {16, 8}}, "code 16b8 is out of order or named twice"}};
  for (const auto& [list, words] : codes) {
    v1::CreateCollectionRequest request = Good();
    for (const auto& [dims, bits] : list) {
      request.add_codes()->set_dims(dims);
      request.mutable_codes(request.codes_size() - 1)->set_bits(bits);
    }
    ExpectCreate(request, words);
  }
  v1::CreateCollectionRequest signs = Good();
  signs.set_metric(v1::METRIC_L2);
  signs.add_codes()->set_dims(64);
  signs.mutable_codes(0)->set_bits(1);
  ExpectCreate(signs, "code 64b1: 1 bits need the metric cosine; the metric is l2");
  ExpectCases(2 * 29);
}

TEST_F(BadAdmin, KindsOfCollections) {
  for (const int value : {-1, 5, 100, 256, 257, std::numeric_limits<int>::max()}) {
    v1::CreateCollectionRequest request = Good();
    request.set_metric(static_cast<v1::Metric>(value));
    ExpectCreate(request, absl::StrCat("metric is ", value, "; one of METRIC_COSINE, "));
    request = Good();
    request.set_storage(static_cast<v1::StorageType>(value));
    ExpectCreate(request, absl::StrCat("storage is ", value, "; one of STORAGE_TYPE_F32, "));
    request = Good();
    request.set_transform(static_cast<v1::Transform>(value));
    ExpectCreate(request, absl::StrCat("transform is ", value, "; one of TRANSFORM_NONE, "));
  }
  v1::CreateCollectionRequest request = Good();
  request.set_transform(v1::TRANSFORM_ROTATION);
  ExpectCreate(request, "the transform is rotation, which is learned from vectors: build the ");
  ExpectCases(2 * 19);
}

TEST_F(BadAdmin, Fields) {
  using Fields = std::vector<std::pair<std::string, int>>;
  Fields many;
  for (int i = 0; i < 33; ++i) many.emplace_back(absl::StrCat("f", i), v1::FIELD_TYPE_INT);
  std::vector<std::pair<Fields, std::string>> cases = {
      {many, "the schema has 33 fields; the limit is 32"},
      {{{"n", 2}, {"n", 2}}, "field 'n' is named twice"},
      {{{"n", 2}, {"word", 1}, {"n", 3}}, "field 'n' is named twice"},
      {{{std::string(65, 'f'), 2}},
       absl::StrCat("field '", std::string(64, 'f'), "': a name is ")}};
  for (const char* name : {"", " ", "1n", "n.", ".n", "a..b", "a b", "a-b", "a/b", "n\xc3\xa9",
                           "$n", "a.1", "\"n\"", "n[0]"}) {
    cases.push_back(
        {{{name, 2}},
         absl::StrCat("field '", name, "': a name is words of letters, digits and _ with ")});
  }
  for (const int type : {0, 6, 7, -1, 256, 257, 258, std::numeric_limits<int>::max()}) {
    cases.push_back({{{"n", type}},
                     absl::StrCat("field 'n': type is ", type, "; one of FIELD_TYPE_KEYWORD, ")});
  }
  for (const auto& [fields, words] : cases) {
    v1::CreateCollectionRequest create = Good();
    v1::UpdateCollectionRequest update;
    update.mutable_collection()->set_name("notes");
    update.mutable_update_mask()->add_paths("fields");
    for (const auto& [name, type] : fields) {
      v1::Field* field = create.add_fields();
      field->set_name(name);
      field->set_type(static_cast<v1::FieldType>(type));
      *update.mutable_collection()->add_fields() = *field;
    }
    ExpectCreate(create, words);
    ExpectInvalid("CollectionService/UpdateCollection", update, words);
    update.set_validate_only(true);
    ExpectInvalid("CollectionService/UpdateCollection", update, words);
  }
  ExpectCases(4 * 26);
}

TEST_F(BadAdmin, Updates) {
  v1::UpdateCollectionRequest request;
  request.mutable_collection()->set_name("notes");
  ExpectInvalid("CollectionService/UpdateCollection", request,
                "update_mask is empty; `fields` may change");
  for (const char* path : {"name", "dim", "ladder", "metric", "storage", "codes", "*", "", "Fields",
                           "fields.name", "fields,dim", "collection.fields", "uuid", "rows"}) {
    request.mutable_update_mask()->clear_paths();
    request.mutable_update_mask()->add_paths("fields");
    request.mutable_update_mask()->add_paths(path);
    ExpectInvalid("CollectionService/UpdateCollection", request,
                  absl::StrCat("update_mask names '", path, "'; only `fields` may change"));
  }
  ExpectCases(15);
}

TEST_F(BadAdmin, Aliases) {
  const auto expect = [this](const std::vector<std::pair<std::string, std::string>>& changes,
                             StatusCode code, const std::string& words) {
    v1::BatchUpdateAliasesRequest request;
    request.add_changes()->set_alias("good");
    request.mutable_changes(0)->set_collection("notes");
    for (const auto& [alias, collection] : changes) {
      request.add_changes()->set_alias(alias);
      request.mutable_changes(request.changes_size() - 1)->set_collection(collection);
    }
    Expect(Send("CollectionService/BatchUpdateAliases", request), code, words, words);
  };
  for (const std::string& name : BadNames()) {
    const std::string words = absl::StrCat("' has ", name.size(), " bytes; 1 to 63 of a-z, 0-9, _");
    expect({{name, "notes"}}, StatusCode::INVALID_ARGUMENT, words);
    expect({{name, ""}}, StatusCode::INVALID_ARGUMENT, words);
  }
  expect({{"a", "nope"}}, StatusCode::NOT_FOUND, "collection 'nope' does not exist");
  expect({{"a", "notes "}}, StatusCode::NOT_FOUND, "collection 'notes ' does not exist");
  expect({{"a", "good"}}, StatusCode::NOT_FOUND, "collection 'good' does not exist");
  expect({{"a", "sample"}}, StatusCode::NOT_FOUND, "collection 'sample' does not exist");
  expect({{"nope", ""}}, StatusCode::NOT_FOUND, "alias 'nope' does not exist");
  expect({{"notes", ""}}, StatusCode::NOT_FOUND, "alias 'notes' does not exist");
  expect({{"notes", "halves"}}, StatusCode::ALREADY_EXISTS, "the name 'notes' is taken by a coll");
  expect({{"sample", "notes"}}, StatusCode::ALREADY_EXISTS,
         "the name 'sample' is taken by an index");
  v1::BatchUpdateAliasesRequest none;
  ExpectInvalid("CollectionService/BatchUpdateAliases", none,
                "changes has 0 entries; 1 to 1000 are accepted");
  for (int i = 0; i <= 1000; ++i) none.add_changes();
  ExpectInvalid("CollectionService/BatchUpdateAliases", none,
                "changes has 1001 entries; 1 to 1000 are accepted");
  ExpectCases(44 + 10);
  // All or nothing: the good change before each of them was not made.
  v1::GetCollectionRequest get;
  get.set_name("good");
  Expect(Send("CollectionService/GetCollection", get), StatusCode::NOT_FOUND,
         "collection 'good' does not exist", "an alias of a refused request");
}

TEST_F(BadAdmin, AliasesAreNoNames) {
  v1::BatchUpdateAliasesRequest aliases;
  aliases.add_changes()->set_alias("latest");
  aliases.mutable_changes(0)->set_collection("notes");
  ASSERT_TRUE(Send("CollectionService/BatchUpdateAliases", aliases).ok());
  v1::CreateCollectionRequest create = Good();
  create.set_name("latest");
  ExpectCreate(create, "the name 'latest' is taken", StatusCode::ALREADY_EXISTS);
  v1::DeleteCollectionRequest drop;
  drop.set_name("latest");
  Expect(Send("CollectionService/DeleteCollection", drop), StatusCode::FAILED_PRECONDITION,
         "'latest' is an alias of 'notes'; a collection is deleted by its own name", "deleted");
  v1::UpdateCollectionRequest update;
  update.mutable_collection()->set_name("latest");
  update.mutable_update_mask()->add_paths("fields");
  Expect(Send("CollectionService/UpdateCollection", update), StatusCode::FAILED_PRECONDITION,
         "'latest' is an alias of 'notes'; a collection is changed by its own name", "changed");
  ExpectCases(4);
}

TEST_F(BadAdmin, IndexesToBuild) {
  const auto expect = [this](const v1::IndexSpec& spec, const std::string& words) {
    v1::BuildIndexRequest request;
    request.set_collection("notes");
    *request.mutable_spec() = spec;
    ExpectBothWays("IndexService/BuildIndex", request, StatusCode::INVALID_ARGUMENT, words,
                   absl::StrCat("an index, ", words));
  };
  v1::IndexSpec spec;
  for (const char* kind : {"", "scan", "tree", "FAISS", "ivf", "hnsw", "graph ", "gpu_scan"}) {
    spec.set_kind(kind);
    expect(spec, absl::StrCat("the coarse kind `", kind, "` cannot be built, these can: faiss, "));
  }
  for (const uint32_t dims : {1u, 17u, 128u, 0xffffffffu}) {
    spec.Clear();
    spec.set_kind("ivf_scan");
    spec.set_dims(dims);
    expect(spec, absl::StrCat("ivf_scan: ", dims, " dims are not on the ladder 16,32,64"));
    spec.set_kind("faiss");
    spec.set_faiss_factory("HNSW32");
    expect(spec, absl::StrCat("faiss: ", dims, " dims are not on the ladder 16,32,64"));
  }
  spec.clear_dims();
  expect(spec, "faiss: 0 dims are not on the ladder 16,32,64");
  for (const size_t bytes : {0, 257, 100'000}) {
    spec.set_dims(64);
    spec.set_faiss_factory(std::string(bytes, 'F'));
    expect(spec, absl::StrCat("faiss: the factory string has ", bytes, " bytes, it has 1 to 256"));
  }
  spec.set_faiss_factory("HNSW32");
  spec.set_lists(4);
  expect(spec, "faiss: lists belong to the kind ivf_scan, links to graph, and a code to these two");
  spec.clear_lists();
  spec.set_degree(8);
  expect(spec, "faiss: lists belong to the kind ivf_scan, links to graph, and a code to these two");
  spec.set_kind("ivf_scan");
  expect(spec, "ivf_scan: a factory string belongs to the kind faiss");
  spec.clear_faiss_factory();
  expect(spec, "ivf_scan: links of a row belong to the kind graph");
  spec.clear_degree();
  for (const uint32_t lists : {1'048'577u, 0xffffffffu}) {
    spec.set_lists(lists);
    expect(spec, absl::StrCat("ivf_scan: ", lists, " lists, the limit is 1048576"));
  }
  spec.clear_lists();
  spec.mutable_code()->set_dims(64);
  spec.mutable_code()->set_bits(7);
  expect(spec, "ivf_scan: the code 64b7 is not stored, these are: 16b8,32b8,64b8");
  spec.Clear();
  spec.set_kind("graph");
  expect(spec, "graph: it is walked by stored signs, such as 512b1, and not by nothing");
  spec.set_lists(1);
  expect(spec, "graph: a factory string belongs to the kind faiss, lists to ivf_scan");
  spec.clear_lists();
  for (const uint32_t degree : {1u, 3u, 257u, 0xffffffffu}) {
    spec.set_degree(degree);
    expect(spec, absl::StrCat("graph: ", degree, " links a row, it is a number from 4 to 256"));
  }
  ExpectCases(2 * 33);
}

TEST_F(BadAdmin, IndexesThatAreBuilt) {
  for (const char* kind : {"", "tree", "SCAN", "faiss", "graph", "ivf_scan"}) {
    const std::string words =
        absl::StrCat("no index of the kind `", kind, "` is built, these are: scan");
    v1::ActivateIndexRequest activate;
    activate.set_collection("notes");
    activate.set_kind(kind);
    Expect(Send("IndexService/ActivateIndex", activate), StatusCode::NOT_FOUND, words, kind);
    v1::DeleteIndexRequest drop;
    drop.set_collection("notes");
    drop.set_kind(kind);
    Expect(Send("IndexService/DeleteIndex", drop), StatusCode::NOT_FOUND, words, kind);
  }
  v1::DeleteIndexRequest drop;
  drop.set_collection("notes");
  drop.set_kind("scan");
  Expect(Send("IndexService/DeleteIndex", drop), StatusCode::FAILED_PRECONDITION,
         "the kind scan stays: stages on codes and new rows need it", "scan");
  ExpectCases(13);
}

TEST_F(BadAdmin, Snapshots) {
  const auto fill = [](auto request, const std::string& collection, const std::string& name) {
    request.set_collection(collection);
    request.set_name(name);
    return request;
  };
  v1::RestoreSnapshotRequest restore;
  restore.set_target("fresh");
  const auto all = [&](const std::string& collection, const std::string& name, StatusCode code,
                       const std::string& words) {
    const auto expect = [&](const std::string& method, const google::protobuf::Message& request) {
      Expect(Send(absl::StrCat("SnapshotService/", method), request), code, words,
             absl::StrCat(method, ", ", words));
    };
    expect("GetSnapshot", fill(v1::GetSnapshotRequest(), collection, name));
    expect("DeleteSnapshot", fill(v1::DeleteSnapshotRequest(), collection, name));
    expect("DownloadSnapshot", fill(v1::DownloadSnapshotRequest(), collection, name));
    expect("RestoreSnapshot", fill(restore, collection, name));
    if (code == StatusCode::NOT_FOUND) return;
    expect("UploadSnapshot", fill(v1::UploadSnapshotRequest(), collection, name));
    if (collection == "notes") {
      expect("CreateSnapshot", fill(v1::CreateSnapshotRequest(), collection, name));
    }
  };
  for (const std::string& name : BadNames()) {
    const std::string words = absl::StrCat("' has ", name.size(), " bytes; 1 to 63 of a-z, 0-9, _");
    all("notes", name, StatusCode::INVALID_ARGUMENT, words);
    if (name.size() < 128) all(name, "one", StatusCode::INVALID_ARGUMENT, words);
  }
  all("notes", "nope", StatusCode::NOT_FOUND, "collection 'notes' has no snapshot 'nope'");
  all("gone", "one", StatusCode::NOT_FOUND, "collection 'gone' has no snapshot 'one'");
  ExpectCases(6 * 22 + 5 * 21 + 8);
}

TEST_F(BadAdmin, SnapshotsThatAreThere) {
  v1::CreateSnapshotRequest create;
  create.set_collection("notes");
  create.set_name("one");
  ASSERT_TRUE(Send("SnapshotService/CreateSnapshot", create).ok());
  Expect(Send("SnapshotService/CreateSnapshot", create), StatusCode::ALREADY_EXISTS,
         "collection 'notes' has a snapshot 'one'", "made twice");
  v1::UploadSnapshotRequest upload;
  upload.set_collection("notes");
  upload.set_name("one");
  Expect(Send("SnapshotService/UploadSnapshot", upload), StatusCode::ALREADY_EXISTS,
         "collection 'notes' has a snapshot 'one'", "uploaded over it");
  upload.set_name("two");
  upload.set_data("no snapshot at all, and long enough to have a head");
  Expect(Send("SnapshotService/UploadSnapshot", upload), StatusCode::INVALID_ARGUMENT, "snapshot",
         "uploaded text");
  upload.set_data(std::string((4 << 20) + 1, 'x'));
  Expect(Send("SnapshotService/UploadSnapshot", upload), StatusCode::INVALID_ARGUMENT,
         "data has 4194305 bytes; the limit is 4194304", "uploaded too much at once");
  v1::RestoreSnapshotRequest restore;
  restore.set_collection("notes");
  restore.set_name("one");
  for (const std::string& name : BadNames()) {
    restore.set_target(name);
    ExpectInvalid("SnapshotService/RestoreSnapshot", restore,
                  absl::StrCat("' has ", name.size(), " bytes; 1 to 63 of a-z, 0-9, _ and -"));
  }
  for (const char* target : {"notes", "sample", "halves"}) {
    restore.set_target(target);
    Expect(Send("SnapshotService/RestoreSnapshot", restore), StatusCode::ALREADY_EXISTS,
           absl::StrCat("the name '", target, "' is taken by a collection or an alias"), target);
  }
  ExpectCases(29);
}

TEST_F(BadAdmin, Operations) {
  namespace lro = google::longrunning;
  const auto expect = [this](const std::string& name, StatusCode code, const std::string& words) {
    const auto send = [&](const std::string& method, auto request) {
      request.set_name(name);
      Expect(Send(absl::StrCat("/google.longrunning.Operations/", method),
                  request.SerializeAsString()),
             code, words, absl::StrCat(method, " of '", name.substr(0, 60), "'"));
    };
    send("GetOperation", lro::GetOperationRequest());
    send("CancelOperation", lro::CancelOperationRequest());
    send("DeleteOperation", lro::DeleteOperationRequest());
  };
  for (const std::string& name :
       {std::string(), std::string("1"), std::string("operation/1"), std::string("Operations/1"),
        std::string("/operations/1"), std::string(" operations/1"), std::string(100'000, 'o')}) {
    expect(name, StatusCode::INVALID_ARGUMENT,
           absl::StrCat("name is '", name.substr(0, 128), "'; operations/ID is needed"));
  }
  for (const std::string& id : {std::string(), std::string("1"), std::string("../1"),
                                std::string("*"), std::string("\xc3\xa9"), std::string(32, '0')}) {
    expect(absl::StrCat("operations/", id), StatusCode::NOT_FOUND,
           absl::StrCat("operation 'operations/", id, "' does not exist"));
  }
  expect(absl::StrCat("operations/", std::string(100'000, '0')), StatusCode::NOT_FOUND,
         absl::StrCat("operation 'operations/", std::string(128, '0'), "' does not exist"));
  const auto list = [this](const lro::ListOperationsRequest& request, const std::string& words) {
    Expect(Send("/google.longrunning.Operations/ListOperations", request.SerializeAsString()),
           StatusCode::INVALID_ARGUMENT, words, words);
  };
  lro::ListOperationsRequest request;
  for (const int size : {-1, std::numeric_limits<int>::min()}) {
    request.set_page_size(size);
    list(request, absl::StrCat("page_size is ", size, "; 0 to 1000 are accepted"));
  }
  request.clear_page_size();
  request.set_filter("done = true");
  list(request, "filters of operations are not offered; leave it empty");
  ExpectCases(3 * 14 + 3);
}

}  // namespace
}  // namespace mrl
