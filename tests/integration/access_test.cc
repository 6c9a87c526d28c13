// Who may call what, through real gRPC: every declared method, every role, every collection.
#include <google/protobuf/descriptor.h>

#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <google/longrunning/operations.pb.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/snapshot.pb.h"
#include "server/security/key_hash.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/served.h"

namespace mrl {
namespace {

using google::protobuf::MethodDescriptor;
using server::Role;
using ::testing::HasSubstr;
using ::testing::Not;

struct TestKey {
  const char* id;
  Role role;
  bool sample_only;
  std::string secret() const { return std::string("secret-of-") + id + std::string(32, 'x'); }
};
const TestKey kKeys[] = {{"read-all", Role::kRead, false},   {"read-one", Role::kRead, true},
                         {"write-all", Role::kWrite, false}, {"write-one", Role::kWrite, true},
                         {"admin-all", Role::kAdmin, false}, {"admin-one", Role::kAdmin, true}};

// Said again here, so that a slip in the server's table is noticed: what each method needs, and
// whether it is about one collection. A method that is missing fails the test.
const std::map<std::string, std::pair<Role, bool>>& Rules() {
  static const auto& rules = *new std::map<std::string, std::pair<Role, bool>>{
      {"CancelOperation", {Role::kAdmin, false}},
      {"DeleteOperation", {Role::kAdmin, false}},
      {"GetOperation", {Role::kRead, false}},
      {"ListOperations", {Role::kRead, false}},
      {"ActivateIndex", {Role::kAdmin, true}},
      {"BuildIndex", {Role::kAdmin, true}},
      {"DeleteIndex", {Role::kAdmin, true}},
      {"ListIndexes", {Role::kRead, true}},
      {"GetCollection", {Role::kRead, true}},
      {"GetCollectionStats", {Role::kRead, true}},
      {"ListCollections", {Role::kRead, false}},
      {"ReloadCollection", {Role::kAdmin, true}},
      {"Search", {Role::kRead, true}},
      {"BatchSearch", {Role::kRead, true}},
      {"ExplainSearch", {Role::kRead, true}},
      {"ProgressiveSearch", {Role::kRead, true}},
      {"Classify", {Role::kRead, true}},
      {"GetProfile", {Role::kRead, true}},
      {"ListProfiles", {Role::kRead, true}},
      {"CreateProfile", {Role::kAdmin, true}},
      {"UpdateProfile", {Role::kAdmin, true}},
      {"DeleteProfile", {Role::kAdmin, true}},
      {"MeasureRecall", {Role::kAdmin, true}},
      {"TuneFunnel", {Role::kAdmin, true}},
      {"AnalyzeDimensions", {Role::kAdmin, true}},
      {"GetConfig", {Role::kAdmin, false}},
      {"GetServerInfo", {Role::kRead, false}},
      {"ListAliases", {Role::kRead, false}},
      {"BatchGetPoints", {Role::kRead, true}},
      {"CountPoints", {Role::kRead, true}},
      {"ListPoints", {Role::kRead, true}},
      {"DeletePoints", {Role::kWrite, true}},
      {"UpdatePayload", {Role::kWrite, true}},
      {"UpsertPoints", {Role::kWrite, true}},
      {"WritePoints", {Role::kWrite, true}},
      {"CompactCollection", {Role::kAdmin, true}},
      {"CreateCollection", {Role::kAdmin, true}},
      {"DeleteCollection", {Role::kAdmin, true}},
      {"UpdateCollection", {Role::kAdmin, true}},
      {"BatchUpdateAliases", {Role::kAdmin, false}},
      {"CreateSnapshot", {Role::kAdmin, true}},
      {"DeleteSnapshot", {Role::kAdmin, true}},
      {"DownloadSnapshot", {Role::kAdmin, true}},
      {"GetSnapshot", {Role::kAdmin, true}},
      {"ListSnapshots", {Role::kAdmin, true}},
      {"RestoreSnapshot", {Role::kAdmin, true}},
      {"UploadSnapshot", {Role::kAdmin, true}},
  };
  return rules;
}

class Access : public Served {
 protected:
  void Configure(server::Config* config) override {
    WriteKeys({std::begin(kKeys), std::end(kKeys)});
    config->api_keys = folder_ / "keys.yaml";
  }
  void WriteKeys(const std::vector<TestKey>& keys) {
    std::ofstream file(folder_ / "keys.yaml");
    file << "keys:\n";
    for (const TestKey& key : keys) {
      file << "- {id: " << key.id << ", role: " << Name(key.role) << ", hash: '"
           << server::HashKey(key.secret()).value() << "'"
           << (key.sample_only ? ", collections: [sample]}\n" : "}\n");
    }
  }
  grpc::Status Call(const MethodDescriptor& method, const std::string& collection,
                    const std::string& authorization) {
    std::multimap<std::string, std::string> metadata;
    if (!authorization.empty()) metadata.emplace("authorization", authorization);
    return RawCall(channel(), PathOf(method), RequestNaming(method, collection), metadata).status;
  }
  client::Client With(const TestKey& key) {
    client::ConnectionOptions options;
    options.api_key = key.secret();
    return client::Client(server_->address(), options);
  }
  std::shared_ptr<grpc::Channel> channel() {
    if (channel_ == nullptr) {
      channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    }
    return channel_;
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(Access, EveryDeclaredMethodHasARule) {
  for (const MethodDescriptor* method : DeclaredMethods()) {
    const server::Method* entry = server::FindMethod(method->name());
    ASSERT_NE(entry, nullptr) << method->full_name() << " is in no table";
    EXPECT_EQ(entry->path, PathOf(*method));
    ASSERT_EQ(Rules().count(method->name()), 1u) << method->full_name();
    EXPECT_EQ(entry->role, Rules().at(method->name()).first) << method->full_name();
    EXPECT_EQ(entry->one_collection, Rules().at(method->name()).second) << method->full_name();
  }
  EXPECT_EQ(server::Methods().size(), DeclaredMethods().size());
}

TEST_F(Access, NoDeclaredMethodAnswersWithoutAKey) {
  for (const MethodDescriptor* method : DeclaredMethods()) {
    for (const std::string& authorization :
         {std::string(), std::string("Bearer "), "Bearer " + std::string(40, 'z'),
          "Basic " + kKeys[0].secret(), "Bearer " + kKeys[0].secret() + "x"}) {
      const grpc::Status status = Call(*method, "sample", authorization);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED)
          << method->full_name() << " with '" << authorization << "'";
      EXPECT_THAT(status.error_message(), Not(HasSubstr("zzz")));
      EXPECT_THAT(status.error_message(), Not(HasSubstr("secret-of")));
    }
  }
}

TEST_F(Access, RolesAndCollectionsDecideEveryMethod) {
  int cases = 0;
  for (const MethodDescriptor* method : DeclaredMethods()) {
    const auto& [role, one_collection] = Rules().at(method->name());
    for (const TestKey& key : kKeys) {
      for (const std::string collection : {"sample", "broken", "nope", ""}) {
        const grpc::Status status = Call(*method, collection, "Bearer " + key.secret());
        const bool open =
            key.role >= role && (!one_collection || !key.sample_only || collection == "sample");
        EXPECT_EQ(status.error_code() == grpc::StatusCode::PERMISSION_DENIED, !open)
            << method->full_name() << " of '" << collection << "' with " << key.id << ": "
            << status.error_message();
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << method->full_name();
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, static_cast<int>(DeclaredMethods().size()) * 6 * 4);
}

TEST_F(Access, ADenialSaysWhyAndAboutWhat) {
  const MethodDescriptor* search = nullptr;
  for (const MethodDescriptor* method : DeclaredMethods()) {
    if (method->name() == "Search") search = method;
  }
  const grpc::Status status = Call(*search, "broken", "Bearer " + kKeys[1].secret());
  EXPECT_EQ(status.error_message(), "key 'read-one' does not list collection 'broken'");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  google::rpc::ResourceInfo resource;
  ASSERT_EQ(details.details_size(), 2);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "COLLECTION_NOT_LISTED");
  EXPECT_EQ(info.metadata().at("request_id").size(), 16u);
  ASSERT_TRUE(details.details(1).UnpackTo(&resource));
  EXPECT_EQ(resource.resource_name(), "broken");
}

TEST_F(Access, NamesOfOtherCollectionsAreNotTold) {
  const auto some = With(kKeys[1]).ListCollections();
  ASSERT_TRUE(some.ok()) << some.status();
  ASSERT_EQ(some->size(), 1u);
  EXPECT_EQ((*some)[0].name, "sample");
  const auto all = With(kKeys[0]).ListCollections();
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->size(), 2u);
}

TEST_F(Access, HealthNeedsNoKey) {
  EXPECT_EQ(client().CheckHealth().value_or(false), true);
  EXPECT_EQ(client().CheckHealth("sample").value_or(false), true);
}

TEST_F(Access, ReflectionIsOffWhereKeysAreNeeded) {
  const RawReply reply =
      RawCall(channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "");
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(Access, KeysAreRotatedByReload) {
  client::Client old_key = With(kKeys[0]), new_key = With(kKeys[2]);
  WriteKeys({kKeys[0]});
  server_->Reload(config_);
  EXPECT_TRUE(old_key.GetServerInfo().ok());
  ExpectError(new_key.GetServerInfo().status(), absl::StatusCode::kUnauthenticated,
              "the key is not known");
  WriteKeys({kKeys[0], kKeys[2]});
  server_->Reload(config_);
  EXPECT_TRUE(old_key.GetServerInfo().ok());
  EXPECT_TRUE(new_key.GetServerInfo().ok());
  WriteKeys({kKeys[2]});
  server_->Reload(config_);
  ExpectError(old_key.GetServerInfo().status(), absl::StatusCode::kUnauthenticated,
              "the key is not known");
  EXPECT_TRUE(new_key.GetServerInfo().ok());
}

TEST_F(Access, AKeyIsHeldToItsRate) {
  const std::string hash = server::HashKey(kKeys[0].secret()).value();
  std::ofstream(folder_ / "keys.yaml")
      << "keys: [{id: slow, role: read, requests-per-s: 0.001, burst: 2, hash: '" << hash << "'}]";
  server_->Reload(config_);
  client::Client client = With(kKeys[0]);
  EXPECT_TRUE(client.GetServerInfo().ok());
  EXPECT_TRUE(client.GetServerInfo().ok());
  ExpectError(client.GetServerInfo().status(), absl::StatusCode::kResourceExhausted,
              "key 'slow' is above its limit of 0.001 calls a second");
}

TEST_F(Access, ABrokenKeysFileChangesNothing) {
  client::Client client = With(kKeys[0]);
  std::ofstream(folder_ / "keys.yaml") << "keys: [";
  server_->Reload(config_);
  EXPECT_TRUE(client.GetServerInfo().ok());
}

TEST_F(Access, ABrokenKeysFileStopsTheStart) {
  std::ofstream(folder_ / "keys.yaml") << "keys: []";
  ExpectError(server::Server::Start(FileSystem::Posix(), config_).status(),
              absl::StatusCode::kInvalidArgument, "keys.yaml: keys has 0 entries");
  config_.api_keys = folder_ / "none.yaml";
  ExpectError(server::Server::Start(FileSystem::Posix(), config_).status(),
              absl::StatusCode::kNotFound, "none.yaml");
}

// Collections that a request names beside the one that it is about: `a` and `b`, and a key that
// lists `a` and `spare`.
class SecondCollection : public Access {
 protected:
  void Configure(server::Config* config) override {
    std::ofstream(folder_ / "keys.yaml")
        << "keys:\n- {id: admin-all, role: admin, hash: '" << HashOf(all_) << "'}\n"
        << "- {id: admin-a, role: admin, collections: [a, spare], hash: '" << HashOf(of_a_)
        << "'}\n";
    config->api_keys = folder_ / "keys.yaml";
    config->data_dir = folder_ / "data";
  }
  void SetUp() override {
    Access::SetUp();
    for (const char* name : {"a", "b"}) {
      v1::CreateCollectionRequest create;
      create.set_name(name);
      create.set_dim(kSampleDim);
      ASSERT_TRUE(Send(all_, "CollectionService/CreateCollection", create).status.ok());
      v1::CreateSnapshotRequest snapshot;
      snapshot.set_collection(name);
      snapshot.set_name("one");
      ASSERT_TRUE(Send(all_, "SnapshotService/CreateSnapshot", snapshot).status.ok());
    }
    ASSERT_TRUE(Alias(all_, {{"of-b", "b"}}).ok());
  }
  static std::string HashOf(const std::string& key) { return server::HashKey(key).value(); }
  RawReply Send(const std::string& key, const std::string& method,
                const google::protobuf::Message& request) {
    return RawCall(channel(), "/mrl.v1." + method, request.SerializeAsString(),
                   {{"authorization", "Bearer " + key}});
  }
  grpc::Status Alias(const std::string& key,
                     const std::vector<std::pair<std::string, std::string>>& changes) {
    v1::BatchUpdateAliasesRequest request;
    for (const auto& [alias, collection] : changes) {
      auto* change = request.add_changes();
      change->set_alias(alias);
      change->set_collection(collection);
    }
    return Send(key, "CollectionService/BatchUpdateAliases", request).status;
  }
  std::map<std::string, std::string> Aliases() {
    v1::ListAliasesResponse response;
    const RawReply reply = Send(all_, "CollectionService/ListAliases", v1::ListAliasesRequest());
    EXPECT_TRUE(response.ParseFromString(reply.messages.at(0)));
    return {response.aliases().begin(), response.aliases().end()};
  }
  grpc::Status Restore(const std::string& key, const std::string& collection,
                       const std::string& target) {
    v1::RestoreSnapshotRequest request;
    request.set_collection(collection);
    request.set_name("one");
    request.set_target(target);
    return Send(key, "SnapshotService/RestoreSnapshot", request).status;
  }
  std::vector<std::string> Operations(const std::string& key) {
    const RawReply reply = RawCall(channel(), "/google.longrunning.Operations/ListOperations", "",
                                   {{"authorization", "Bearer " + key}});
    google::longrunning::ListOperationsResponse response;
    EXPECT_TRUE(response.ParseFromString(reply.messages.at(0)));
    std::vector<std::string> names;
    for (const auto& operation : response.operations()) names.push_back(operation.name());
    return names;
  }
  void ExpectDenied(const grpc::Status& status, const std::string& name) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("key 'admin-a' does not list "));
    EXPECT_THAT(status.error_message(), HasSubstr("'" + name + "'"));
  }

  const std::string all_ = std::string(40, 'u');
  const std::string of_a_ = std::string(40, 'v');
};

TEST_F(SecondCollection, AnAliasNeedsBothOfItsNames) {
  const std::map<std::string, std::string> before = {{"of-b", "b"}};
  ExpectDenied(Alias(of_a_, {{"spare", "b"}}), "b");
  ExpectDenied(Alias(of_a_, {{"other", "a"}}), "other");
  ExpectDenied(Alias(of_a_, {{"of-b", "a"}}), "of-b");
  ExpectDenied(Alias(of_a_, {{"of-b", ""}}), "of-b");
  ExpectDenied(Alias(of_a_, {{"spare", "nope"}}), "nope");
  ExpectDenied(Alias(of_a_, {{"spare", "a"}, {"spare", "b"}}), "b");
  EXPECT_EQ(Aliases(), before);
  EXPECT_TRUE(Alias(of_a_, {{"spare", "a"}}).ok());
  EXPECT_EQ(Aliases(), (std::map<std::string, std::string>{{"of-b", "b"}, {"spare", "a"}}));
}

TEST_F(SecondCollection, ARestoreNeedsItsTarget) {
  ExpectDenied(Restore(of_a_, "a", "b"), "b");
  ExpectDenied(Restore(of_a_, "a", "of-b"), "of-b");
  ExpectDenied(Restore(of_a_, "a", "fresh"), "fresh");
  ExpectDenied(Restore(of_a_, "b", "spare"), "b");
  EXPECT_THAT(Operations(all_), ::testing::IsEmpty());
  EXPECT_TRUE(Restore(of_a_, "a", "spare").ok());
  EXPECT_EQ(Operations(all_).size(), 1u);
}

TEST_F(SecondCollection, OperationsOnOthersAreNotThere) {
  ASSERT_TRUE(Restore(all_, "b", "fresh").ok());
  const std::vector<std::string> names = Operations(all_);
  ASSERT_EQ(names.size(), 1u);
  EXPECT_THAT(Operations(of_a_), ::testing::IsEmpty());
  google::longrunning::GetOperationRequest request;  // as the other two: its name is field 1
  request.set_name(names[0]);
  for (const char* method : {"GetOperation", "CancelOperation", "DeleteOperation"}) {
    const RawReply reply =
        RawCall(channel(), std::string("/google.longrunning.Operations/") + method,
                request.SerializeAsString(), {{"authorization", "Bearer " + of_a_}});
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::NOT_FOUND) << method;
    EXPECT_EQ(reply.status.error_message(), "operation '" + names[0] + "' does not exist");
  }
}

class Open : public Served {};

TEST_F(Open, ReflectionIsOnWithoutKeys) {
  const RawReply reply =
      RawCall(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()),
              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string("\x3a\x00", 2));  // list_services
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
  ASSERT_EQ(reply.messages.size(), 1u);
  EXPECT_THAT(reply.messages[0], HasSubstr("mrl.v1.SearchService"));
}

}  // namespace
}  // namespace mrl
