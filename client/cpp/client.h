// The C++ client: typed calls over a Connection.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/cpp/connection.h"
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
  absl::StatusOr<Explanation> Explain(const std::string& collection, const Query& query,
                                      const SearchOptions& options, absl::Span<const Id> why_not);
  absl::StatusOr<Collection> GetCollection(const std::string& name);
  // All pages.
  absl::StatusOr<std::vector<Collection>> ListCollections();
  absl::StatusOr<CollectionStats> GetCollectionStats(const std::string& name);
  absl::StatusOr<Collection> ReloadCollection(const std::string& name);
  absl::StatusOr<ServerInfo> GetServerInfo();
  // Every setting that is in force, in the order of --help. Needs the role admin.
  absl::StatusOr<std::vector<Setting>> GetConfig();
  // The server's own health, or a collection's.
  absl::StatusOr<bool> CheckHealth(const std::string& service = "");

 private:
  const std::unique_ptr<Connection> connection_;
};

}  // namespace mrl::client
