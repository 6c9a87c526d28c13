#include "server/quotas.h"

#include <set>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/rpc/error.h"
#include "server/rpc/reason.h"
#include "server/yaml_limit.h"

namespace mrl::server {
namespace {

constexpr uint64_t kFileBytesMax = 4 << 20;
constexpr double kRateMax = 1e9;
constexpr double kSizeMax = 1e15;
constexpr char kAnyCollection[] = "*";

absl::Status SetField(const std::string& name, const std::string& text, Quota* quota) {
  if (name == "in-flight-max") return ReadLimit(name, text, kRateMax, &quota->in_flight_max);
  if (name == "requests-per-s") return ReadLimit(name, text, kRateMax, &quota->requests_per_s);
  if (name == "burst") return ReadLimit(name, text, kRateMax, &quota->burst);
  if (name == "rows-max") return ReadLimit(name, text, kSizeMax, &quota->rows_max);
  if (name == "memory-bytes-max") return ReadLimit(name, text, kSizeMax, &quota->memory_bytes_max);
  return absl::InvalidArgumentError(absl::StrCat("unknown field '", name,
                                                 "'; known: collection, in-flight-max, "
                                                 "requests-per-s, burst, rows-max, "
                                                 "memory-bytes-max"));
}

absl::StatusOr<std::pair<std::string, Quota>> ReadQuota(const YAML::Node& node) {
  if (!node.IsMap()) {
    return absl::InvalidArgumentError("a map with collection and limits is needed");
  }
  std::pair<std::string, Quota> entry;
  std::set<std::string> seen;
  for (const auto& field : node) {
    const auto name = field.first.as<std::string>();
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat("field '", name, "' comes twice"));
    }
    if (!field.second.IsScalar()) {
      return absl::InvalidArgumentError(absl::StrCat(name, " needs a single value"));
    }
    const auto text = field.second.as<std::string>();
    if (name == "collection") {
      entry.first = text;
    } else {
      MRL_RETURN_IF_ERROR(SetField(name, text, &entry.second));
    }
  }
  if (entry.first.empty()) return absl::InvalidArgumentError("field 'collection' is missing");
  if (seen.size() == 1) return absl::InvalidArgumentError("no limit is given");
  if (entry.second.burst > 0 && entry.second.requests_per_s <= 0) {
    return absl::InvalidArgumentError("burst needs requests-per-s");
  }
  return entry;
}

absl::StatusOr<std::map<std::string, Quota>> ReadQuotas(const YAML::Node& root) {
  if (!root.IsMap() || root.size() != 1 || !root["quotas"] || !root["quotas"].IsSequence()) {
    return absl::InvalidArgumentError("a map with the one list 'quotas' is needed");
  }
  const YAML::Node& list = root["quotas"];
  if (list.size() > QuotaTable::kEntriesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "quotas has ", list.size(), " entries; the limit is ", QuotaTable::kEntriesMax));
  }
  std::map<std::string, Quota> quotas;
  for (size_t i = 0; i < list.size(); ++i) {
    auto entry = ReadQuota(list[i]);
    if (!entry.ok()) return Annotate(entry.status(), absl::StrCat("quota ", i + 1));
    const std::string name = entry->first;
    if (!quotas.insert(*std::move(entry)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("quota ", i + 1, ": collection '", name, "' comes twice"));
    }
  }
  return quotas;
}

absl::Status Above(const std::string& collection, absl::string_view what, uint64_t has,
                   uint64_t wanted, uint64_t limit, absl::string_view reason) {
  return WithQuota(WithReason(absl::ResourceExhaustedError(absl::StrCat(
                                  "collection '", collection, "' has ", has, " ", what, " and ",
                                  wanted, " more were sent; its quota is ", limit)),
                              reason),
                   absl::StrCat("collection:", collection));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const QuotaTable>> QuotaTable::Parse(const std::string& text,
                                                                    const std::string& path) {
  // yaml-cpp reports by exceptions; they end here.
  try {
    auto quotas = ReadQuotas(YAML::Load(text));
    if (!quotas.ok()) return Annotate(quotas.status(), path);
    auto table = std::make_shared<QuotaTable>();
    table->quotas_ = *std::move(quotas);
    return std::shared_ptr<const QuotaTable>(std::move(table));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
}

absl::StatusOr<std::shared_ptr<const QuotaTable>> QuotaTable::Load(FileSystem& files,
                                                                   const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const std::string text, ReadFile(files, path, kFileBytesMax));
  return Parse(text, path);
}

const Quota* QuotaTable::Find(const std::string& collection) const {
  auto found = quotas_.find(collection);
  if (found == quotas_.end()) found = quotas_.find(kAnyCollection);
  return found == quotas_.end() ? nullptr : &found->second;
}

void Quotas::Replace(std::shared_ptr<const QuotaTable> table) {
  absl::MutexLock lock(&mutex_);
  std::swap(table_, table);  // the old one leaves outside of the lock
}

Quotas::Held Quotas::Of(absl::string_view collection_or_alias) const {
  std::shared_ptr<const QuotaTable> table;
  {
    absl::ReaderMutexLock lock(&mutex_);
    table = table_;
  }
  if (table == nullptr || collection_or_alias.empty()) return {};
  const auto entry = registry_.Peek(std::string(collection_or_alias));
  if (!entry.ok()) return {};  // who asks for what is not there is told so
  const Quota* quota = table->Find(entry->path.name);
  return quota == nullptr ? Held{} : Held{entry->path.name, *quota};
}

absl::Status CheckRoom(const Quotas::Held& held, const collection::Collection& version,
                       uint64_t rows, uint64_t bytes) {
  const Quota& quota = held.quota;
  if (quota.rows_max > 0 && version.rows() + rows > quota.rows_max) {
    return Above(held.collection, "points", version.rows(), rows, quota.rows_max, kReasonQuotaRows);
  }
  if (quota.memory_bytes_max > 0 && version.memory_bytes() + bytes > quota.memory_bytes_max) {
    return Above(held.collection, "bytes in memory", version.memory_bytes(), bytes,
                 quota.memory_bytes_max, kReasonQuotaMemory);
  }
  return absl::OkStatus();
}

}  // namespace mrl::server
