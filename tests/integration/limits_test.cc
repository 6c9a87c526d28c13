// Every limit that GetServerInfo publishes, through real gRPC: what is one above it is refused with
// the limit's value in the message, or, where a reply is meant, is never sent. A limit without a
// case fails.
#include "server/limits.h"

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "mrl/v1/collection.grpc.pb.h"
#include "mrl/v1/funnel.grpc.pb.h"
#include "mrl/v1/point.grpc.pb.h"
#include "mrl/v1/search.grpc.pb.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/raw_peer.h"
#include "tests/integration/served.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;

class Limits : public Served {
 protected:
  // Sends what is one above the limit.
  using Beyond = std::function<grpc::Status(uint64_t limit)>;

  void Configure(server::Config* config) override {
    BuildSample(folder_ / "many", 3, server::Limits::kPageSize + 1);
    config->indexes.push_back({"many", folder_ / "many"});
    config->data_dir = folder_ / "data";
    config->streams_max = 2;
  }
  void SetUp() override {
    Served::SetUp();
    channel_ = UnlimitedChannel(server_->address());
    v1::CreateCollectionRequest create;
    create.set_name("notes");
    create.set_dim(kSampleDim);
    ASSERT_TRUE(Send("CollectionService/CreateCollection", create).ok());
    AddSearches();
    AddFilters();
    AddBatches();
    AddPoints();
    AddCollections();
    AddJobs();
  }

  RawReply Call(const std::string& method, const google::protobuf::Message& request) {
    return RawCall(channel_, "/mrl.v1." + method, request.SerializeAsString());
  }
  grpc::Status Send(const std::string& method, const google::protobuf::Message& request) {
    return Call(method, request).status;
  }
  static void SetVector(v1::Vector* out, uint64_t rows = 1) {
    out->set_dtype(v1::DTYPE_F32);
    const std::vector<float> vector = SampleVector(7, 0);
    std::string bytes;
    for (uint64_t row = 0; row < rows; ++row) {
      bytes.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
    }
    out->set_data(bytes);
  }
  // A search by vector, changed by `change`, which is given the limit.
  Beyond Search(std::function<void(uint64_t, v1::SearchRequest*)> change) {
    return [this, change = std::move(change)](uint64_t limit) {
      v1::SearchRequest request;
      request.set_collection("sample");
      SetVector(request.mutable_vector());
      change(limit, &request);
      return Send("SearchService/Search", request);
    };
  }

  void AddSearches() {
    beyond_["k"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->mutable_options()->set_k(static_cast<uint32_t>(limit + 1));
    });
    beyond_["keep"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->mutable_options()->set_funnel_text("16:" + std::to_string(limit + 1) + ",64:10");
    });
    beyond_["funnel_text_bytes"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->mutable_options()->set_funnel_text(std::string(limit + 1, '1'));
    });
    beyond_["stages"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      for (uint64_t i = 0; i <= limit; ++i) {
        v1::Stage* stage = request->mutable_options()->mutable_funnel()->add_stages();
        stage->set_dims(16);
        stage->set_keep(100);
      }
    });
    beyond_["name_bytes"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->set_collection(std::string(limit + 1, 'n'));
    });
    beyond_["id_bytes"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->mutable_id()->set_text(std::string(limit + 1, 'i'));
    });
    beyond_["request_bytes"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->set_collection(std::string(limit, 'n'));
    });
    beyond_["metadata_bytes"] = [this](uint64_t limit) {
      return RawCall(channel_, "/mrl.v1.ServerService/GetServerInfo", "",
                     {{"x-large", std::string(limit, 'm')}})
          .status;
    };
    beyond_["why_not_ids"] = [this](uint64_t limit) {
      v1::ExplainSearchRequest request;
      request.mutable_search()->set_collection("sample");
      SetVector(request.mutable_search()->mutable_vector());
      for (uint64_t i = 0; i <= limit; ++i) request.add_why_not()->set_text("p1");
      return Send("SearchService/ExplainSearch", request);
    };
  }

  void AddFilters() {
    beyond_["filter_bytes"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      request->mutable_options()->set_filter(std::string(limit + 1, 'f'));
    });
    beyond_["filter_conditions"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      v1::Filter::List* all = request->mutable_options()->mutable_filter_tree()->mutable_all();
      for (uint64_t i = 0; i < limit; ++i) all->add_filters()->set_exists("f");
    });
    beyond_["filter_levels"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      v1::Filter* inner = request->mutable_options()->mutable_filter_tree();
      for (uint64_t i = 0; i < limit; ++i) inner = inner->mutable_none()->add_filters();
      inner->set_exists("f");
    });
    beyond_["filter_values"] = Search([](uint64_t limit, v1::SearchRequest* request) {
      v1::Filter::In* in = request->mutable_options()->mutable_filter_tree()->mutable_in();
      in->set_field("f");
      for (uint64_t i = 0; i <= limit; ++i) in->add_values()->set_integer(1);
    });
  }

  grpc::Status Batch(uint64_t rows, uint64_t k) {
    v1::BatchSearchRequest request;
    request.set_collection("sample");
    request.set_rows(static_cast<uint32_t>(rows));
    SetVector(request.mutable_queries(), rows);
    request.mutable_options()->set_k(static_cast<uint32_t>(k));
    return Send("SearchService/BatchSearch", request);
  }
  void AddBatches() {
    beyond_["batch_rows"] = [this](uint64_t limit) { return Batch(limit + 1, 1); };
    beyond_["batch_hits"] = [this](uint64_t limit) { return Batch(limit / 10'000 + 1, 10'000); };
  }

  grpc::Status Upsert(uint64_t number, size_t payload_bytes) {
    v1::UpsertPointsRequest request;
    request.set_collection("notes");
    v1::PointWrite* point = request.add_points();
    point->mutable_id()->set_number(number);
    SetVector(point->mutable_vector());
    const std::string around = R"({"t":""})";
    point->set_payload_json(R"({"t":")" + std::string(payload_bytes - around.size(), 'x') + "\"}");
    return Send("PointService/UpsertPoints", request);
  }
  void AddPoints() {
    beyond_["payload_bytes"] = [this](uint64_t limit) { return Upsert(0, limit + 1); };
    beyond_["payload_levels"] = [this](uint64_t limit) {
      v1::UpdatePayloadRequest request;
      request.set_collection("notes");
      request.add_items()->mutable_id()->set_number(0);
      request.mutable_items(0)->set_payload_json(R"({"a":)" + std::string(limit, '[') +
                                                 std::string(limit, ']') + "}");
      return Send("PointService/UpdatePayload", request);
    };
    beyond_["points"] = [this](uint64_t limit) {
      v1::BatchGetPointsRequest request;
      request.set_collection("notes");
      for (uint64_t i = 0; i <= limit; ++i) request.add_ids()->set_number(i);
      return Send("PointService/BatchGetPoints", request);
    };
    beyond_["reply_bytes"] = [this](uint64_t limit) {
      v1::BatchGetPointsRequest request;
      request.set_collection("notes");
      request.set_with_payload(true);
      for (uint64_t i = 0; i < 5; ++i) {
        EXPECT_TRUE(Upsert(i, limit / 4).ok());
        request.add_ids()->set_number(i);
      }
      return Send("PointService/BatchGetPoints", request);
    };
  }

  void AddCollections() {
    beyond_["alias_changes"] = [this](uint64_t limit) {
      v1::BatchUpdateAliasesRequest request;
      for (uint64_t i = 0; i <= limit; ++i) request.add_changes()->set_alias("a");
      return Send("CollectionService/BatchUpdateAliases", request);
    };
    beyond_["dims"] = [this](uint64_t limit) {
      v1::CreateCollectionRequest request;
      request.set_name("wide");
      request.set_dim(static_cast<uint32_t>(limit + 1));
      return Send("CollectionService/CreateCollection", request);
    };
    beyond_["fields"] = [this](uint64_t limit) {
      v1::CreateCollectionRequest request;
      request.set_name("wide");
      request.set_dim(kSampleDim);
      for (uint64_t i = 0; i <= limit; ++i) {
        v1::Field* field = request.add_fields();
        field->set_name("f" + std::to_string(i));
        field->set_type(v1::FIELD_TYPE_INT);
      }
      return Send("CollectionService/CreateCollection", request);
    };
  }

  Beyond Measure(std::function<void(uint64_t, v1::JobQueries*)> change) {
    return [this, change = std::move(change)](uint64_t limit) {
      v1::MeasureRecallRequest request;
      request.set_collection("sample");
      change(limit, request.mutable_queries());
      return Send("FunnelService/MeasureRecall", request);
    };
  }
  void AddJobs() {
    beyond_["job_queries"] = Measure([](uint64_t limit, v1::JobQueries* queries) {
      queries->set_sample(static_cast<uint32_t>(limit + 1));
    });
    beyond_["job_query_bytes"] = Measure([](uint64_t limit, v1::JobQueries* queries) {
      queries->set_rows(1);
      queries->mutable_vectors()->set_dtype(v1::DTYPE_F32);
      queries->mutable_vectors()->set_data(std::string(limit + 1, 'x'));
    });
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::map<std::string, Beyond> beyond_;
};

TEST_F(Limits, WhatIsBeyondOneIsRefusedWithItsValue) {
  for (const server::Limit& limit : server::LimitsTable()) {
    const std::string name = limit.name;
    if (name == "page_size" || name == "batch_chunk_bytes") continue;  // of replies: below
    ASSERT_EQ(beyond_.count(name), 1u) << "nothing is sent beyond " << name;
    const grpc::Status status = beyond_.at(name)(limit.value);
    const bool of_bytes_on_the_way =
        name == "request_bytes" || name == "metadata_bytes" || name == "reply_bytes";
    EXPECT_EQ(status.error_code(), of_bytes_on_the_way ? grpc::StatusCode::RESOURCE_EXHAUSTED
                                                       : grpc::StatusCode::INVALID_ARGUMENT)
        << name << ": " << status.error_message();
    // The text of this one is gRPC's.
    EXPECT_THAT(status.error_message(),
                HasSubstr(name == "metadata_bytes" ? "initial metadata size exceeds limit"
                                                   : std::to_string(limit.value)))
        << name;
    EXPECT_TRUE(client().Search("sample", SampleVector(7, 0)).ok()) << "after " << name;
  }
}

TEST_F(Limits, APageIsCutToIt) {
  v1::ListPointsRequest request;
  request.set_collection("many");
  request.set_page_size(5000);
  const RawReply reply = Call("PointService/ListPoints", request);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  v1::ListPointsResponse page;
  ASSERT_TRUE(page.ParseFromString(reply.messages.at(0)));
  EXPECT_EQ(page.points_size(), static_cast<int>(server::Limits::kPageSize));
  EXPECT_NE(page.next_page_token(), "");
}

TEST_F(Limits, AChunkOfABatchStaysBelowIt) {
  v1::BatchSearchRequest request;
  request.set_collection("many");
  request.set_rows(300);
  SetVector(request.mutable_queries(), request.rows());
  request.mutable_options()->set_k(1000);
  const RawReply reply = Call("SearchService/BatchSearch", request);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  size_t bytes = 0;
  for (const std::string& chunk : reply.messages) {
    EXPECT_LE(chunk.size(), server::Limits::kBatchChunkBytes);
    bytes += chunk.size();
  }
  EXPECT_GT(bytes, 2 * server::Limits::kBatchChunkBytes);
}

TEST_F(Limits, CallsAtATimeOnAConnection) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  EXPECT_TRUE(peer.Answers());              // What the server sends first are its settings.
  peer.Write(RawPeer::Frame(4, 1, 0, ""));  // Confirms them, so that they count.
  peer.Write(RawPeer::Call(1) + RawPeer::Call(3));
  EXPECT_TRUE(peer.Answers());
  peer.Write(RawPeer::Call(5));
  EXPECT_FALSE(peer.Answers());
}

}  // namespace
}  // namespace mrl
