// The C++ client: typed calls over a Connection.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/cpp/connection.h"
#include "client/cpp/quality_types.h"
#include "client/cpp/types.h"

namespace mrl::client {

// A query: a vector, or the id of a point whose stored vector is searched.
using Query = std::variant<std::vector<float>, Id>;

// Thread-safe. Errors have the server's code and message.
class Client {
 public:
  explicit Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
  // `target` is ADDRESS:PORT.
  explicit Client(const std::string& target, const ConnectionOptions& options = {})
      : Client(Connect(target, options)) {}

  absl::StatusOr<SearchResult> Search(const std::string& collection, const Query& query,
                                      const SearchOptions& options = {});
  // `queries` is a row-major matrix of `rows` rows; one result per row.
  absl::StatusOr<std::vector<SearchResult>> BatchSearch(const std::string& collection,
                                                        absl::Span<const float> queries,
                                                        uint32_t rows,
                                                        const SearchOptions& options = {});
  // Calls `stage` with the best hits after each stage of the funnel; the last are what Search
  // returns.
  absl::Status ProgressiveSearch(const std::string& collection, const Query& query,
                                 const SearchOptions& options,
                                 const std::function<void(const SearchResult&)>& stage);
  // By the payload field `field`, at the shortest prefix that promises `confidence`.
  absl::StatusOr<Classification> Classify(const std::string& collection, const Query& query,
                                          const std::string& field, uint32_t k = 10,
                                          double confidence = 0.95);
  absl::StatusOr<Explanation> Explain(const std::string& collection, const Query& query,
                                      const SearchOptions& options, absl::Span<const Id> why_not,
                                      bool compare_exact = false);
  absl::StatusOr<Collection> GetCollection(const std::string& name);
  // All pages.
  absl::StatusOr<std::vector<Collection>> ListCollections();
  absl::StatusOr<CollectionStats> GetCollectionStats(const std::string& name);
  absl::StatusOr<Collection> ReloadCollection(const std::string& name);
  absl::StatusOr<Collection> CreateCollection(const NewCollection& wanted);
  // Replaces the fields that filters may name: "year:int".
  absl::StatusOr<Operation> UpdateFields(const std::string& name,
                                         const std::vector<std::string>& fields,
                                         bool validate_only);
  absl::StatusOr<Operation> CompactCollection(const std::string& name);
  absl::Status DeleteCollection(const std::string& name);
  using Aliases = std::map<std::string, std::string>;  // alias -> collection
  // All in one step; an empty collection removes the alias. Returns every alias.
  absl::StatusOr<Aliases> UpdateAliases(const Aliases& changes);
  absl::StatusOr<Aliases> ListAliases();
  // `wanted` says the collection, the kind, and what it is built from.
  absl::StatusOr<Operation> BuildIndex(const Index& wanted, bool activate, bool validate_only);
  absl::StatusOr<Index> ActivateIndex(const std::string& collection, const std::string& kind);
  absl::StatusOr<std::vector<Index>> ListIndexes(const std::string& collection);
  absl::Status DeleteIndex(const std::string& collection, const std::string& kind);
  absl::StatusOr<Operation> GetOperation(const std::string& name);
  // All pages.
  absl::StatusOr<std::vector<Operation>> ListOperations();
  absl::Status CancelOperation(const std::string& name);
  absl::Status DeleteOperation(const std::string& name);
  // Asks again until it has ended; `heard` hears each answer and may end the waiting with an error.
  absl::StatusOr<Operation> Wait(Operation operation,
                                 const std::function<absl::Status(const Operation&)>& heard = {});
  // All or none.
  absl::StatusOr<Written> UpsertPoints(const std::string& collection,
                                       absl::Span<const NewPoint> points, bool durable);
  // On one stream: what cannot be stored is reported, the rest is stored. `next` gives some points
  // at a time, and none at the end.
  absl::StatusOr<Written> WritePoints(
      const std::string& collection, bool durable,
      const std::function<absl::StatusOr<std::vector<NewPoint>>()>& next);
  // The vectors stay. NOT_FOUND names an id that is not there.
  absl::StatusOr<Written> UpdatePayloads(const std::string& collection,
                                         const std::vector<std::pair<Id, std::string>>& payloads,
                                         bool durable);
  // Those that are there, in order of `ids`.
  absl::StatusOr<std::vector<Point>> GetPoints(const std::string& collection,
                                               absl::Span<const Id> ids, bool with_vector);
  // Points that match `filter`; "" = all.
  absl::StatusOr<uint64_t> CountPoints(const std::string& collection, const std::string& filter);
  // The first `limit` points that match, oldest first; by pages.
  absl::StatusOr<std::vector<Point>> ListPoints(const std::string& collection,
                                                const std::string& filter, uint64_t limit);
  absl::StatusOr<Deleted> DeletePoints(const std::string& collection, absl::Span<const Id> ids,
                                       bool validate_only);
  // Every point that matches; an empty filter is refused.
  absl::StatusOr<Deleted> DeleteMatching(const std::string& collection, const std::string& filter,
                                         bool validate_only);
  absl::StatusOr<Snapshot> CreateSnapshot(const std::string& collection, const std::string& name);
  absl::StatusOr<Snapshot> GetSnapshot(const std::string& collection, const std::string& name);
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const std::string& collection);
  absl::Status DeleteSnapshot(const std::string& collection, const std::string& name);
  // Calls `write` for each piece of the snapshot as one file; its error ends the call.
  absl::Status DownloadSnapshot(const std::string& collection, const std::string& name,
                                const std::function<absl::Status(absl::string_view)>& write);
  // The same back. `read` gives the next piece, at most 4 MB, and "" at the end.
  absl::StatusOr<Snapshot> UploadSnapshot(const std::string& collection, const std::string& name,
                                          const std::function<absl::StatusOr<std::string>()>& read);
  // Makes the new collection `target`.
  absl::StatusOr<Operation> RestoreSnapshot(const std::string& collection, const std::string& name,
                                            const std::string& target);
  absl::StatusOr<Profile> CreateProfile(const std::string& collection, const std::string& name,
                                        const ProfileVersion& version, bool make_default);
  // With all its versions.
  absl::StatusOr<Profile> GetProfile(const std::string& collection, const std::string& name);
  // Each with the version that serves.
  absl::StatusOr<std::vector<Profile>> ListProfiles(const std::string& collection);
  absl::StatusOr<Profile> UpdateProfile(const std::string& collection, const std::string& name,
                                        const ProfileChange& change);
  absl::Status DeleteProfile(const std::string& collection, const std::string& name);
  // Told now and then how far an operation's present step is: (done, total).
  using Progress = std::function<void(uint64_t, uint64_t)>;
  // Each starts an operation and returns once it has ended, however long that takes: the timeout is
  // of each call. `progress` may be empty.
  absl::StatusOr<Certificate> MeasureRecall(const std::string& collection,
                                            const CertifyOptions& options,
                                            const Progress& progress = {});
  absl::StatusOr<Tuned> TuneFunnel(const std::string& collection, const TuneOptions& options,
                                   const Progress& progress = {});
  absl::StatusOr<DimensionReport> AnalyzeDimensions(const std::string& collection,
                                                    const AnalyzeOptions& options,
                                                    const Progress& progress = {});
  absl::StatusOr<ServerInfo> GetServerInfo();
  // Every setting that is in force, in the order of --help. Needs the role admin.
  absl::StatusOr<std::vector<Setting>> GetConfig();
  // The server's own health, or a collection's.
  absl::StatusOr<bool> CheckHealth(const std::string& service = "");

 private:
  // What the operation gave, once it ended, in `response`.
  absl::Status Await(const absl::StatusOr<google::longrunning::Operation>& started,
                     const Progress& progress, google::protobuf::Message* response);

  const std::unique_ptr<Connection> connection_;
};

}  // namespace mrl::client
