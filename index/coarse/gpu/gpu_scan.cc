#include "index/coarse/gpu/gpu_scan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"

namespace mrl::coarse::gpu {

GpuScan::GpuScan(std::shared_ptr<const CoarseIndex> scan, const ScanIndex& codes, bool required,
                 std::string why_none)
    : scan_(std::move(scan)), codes_(codes), required_(required), why_none_(std::move(why_none)) {}

void GpuScan::Place(std::vector<Copy> copies) {
  for (Copy& copy : copies) {
    Replica& replica = *replicas_.emplace_back(std::make_unique<Replica>());
    replica.segment = std::move(copy.segment);
    replica.workspaces = copy.workspaces;
    replica.queue = std::make_unique<Queue>(
        copy.workspaces->count(),
        [this, &replica](const BatchPlan& plan, const std::vector<Item*>& items) {
          RunOn(replica, plan, items);
        });
  }
  placed_ = true;
}

std::pair<size_t, size_t> GpuScan::served() const {
  std::pair<size_t, size_t> all;
  for (const auto& replica : replicas()) {
    const auto [batches, requests] = replica->queue->served();
    all.first += batches;
    all.second += requests;
  }
  return all;
}

size_t GpuScan::queued() const {
  size_t all = 0;
  for (const auto& replica : replicas()) all += replica->queue->waiting();
  return all;
}

std::string GpuScan::Describe() const {
  const std::string codes = FormatCodes(codes_.segment()->schema().codes);
  if (replicas().empty()) return absl::StrCat("gpu_scan ", codes, " by the CPU: ", why_none_);
  std::vector<std::string> places;
  for (const auto& replica : replicas()) {
    places.push_back(replica->segment->device().lost() ? "the CPU, after a fault of the device"
                                                       : replica->segment->Describe());
  }
  return absl::StrCat("gpu_scan ", codes, ": ", absl::StrJoin(places, "; "));
}

absl::StatusOr<Result> GpuScan::Search(const Request& request) const {
  return std::move(SearchTile({&request, 1}).front());
}

std::optional<BatchPlan> GpuScan::PlanOf(const Request& request) const {
  if (replicas().empty() || codes_.segment()->rows() == 0) return std::nullopt;
  BatchPlan plan;
  plan.allowed = request.allowed;
  plan.stages.push_back({request.dims, request.bits, request.keep});
  plan.stages.insert(plan.stages.end(), request.later.begin(), request.later.end());
  size_t can = plan.stages.size();
  for (const auto& replica : replicas()) {
    can = std::min(can, StagesOnDevice(*replica->segment, plan.stages));
  }
  if (can == 0) return std::nullopt;
  plan.cut_last = can < plan.stages.size() || can == 1;
  plan.stages.resize(can);
  return plan;
}

GpuScan::Replica* GpuScan::Choose() const {
  Replica* chosen = nullptr;
  for (const auto& replica : replicas()) {
    if (replica->segment->device().lost()) continue;
    if (chosen == nullptr || replica->waiting < chosen->waiting) chosen = replica.get();
  }
  return chosen;
}

Results GpuScan::SearchTile(absl::Span<const Request> requests) const {
  std::vector<Item> items(requests.size());
  // Requests of a tile differ in `keep` at most, by the one row that a search leaves out.
  std::vector<std::pair<BatchPlan, std::vector<Item*>>> groups;
  for (size_t i = 0; i < requests.size(); ++i) {
    items[i].request = &requests[i];
    if (!codes_.Check(requests[i]).ok()) continue;
    const std::optional<BatchPlan> plan = PlanOf(requests[i]);
    if (!plan.has_value()) continue;
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& other) { return other.first == *plan; });
    if (group == groups.end()) group = groups.insert(groups.end(), {*plan, {}});
    group->second.push_back(&items[i]);
  }
  for (const auto& [plan, members] : groups) {
    Replica* replica = Choose();
    if (replica == nullptr) {
      const absl::Status lost = replicas().front()->segment->device().CheckLost();
      for (Item* item : members) item->answer = lost;
      continue;
    }
    replica->waiting += static_cast<uint32_t>(members.size());
    replica->queue->Serve(plan, members,
                          BatchMax(*replica->segment, plan, replica->workspaces->count()));
    replica->waiting -= static_cast<uint32_t>(members.size());
  }
  Results results;
  for (Item& item : items) results.push_back(Answer(item));
  return results;
}

void GpuScan::RunOn(Replica& replica, const BatchPlan& plan,
                    const std::vector<Item*>& items) const {
  std::vector<Item*> running;
  std::vector<const float*> queries;
  for (Item* item : items) {
    if (IsStopped(item->request->stopped)) continue;  // Answer says so
    running.push_back(item);
    queries.push_back(item->request->query);
  }
  if (running.empty()) return;
  absl::Status failed;
  auto lease = replica.workspaces->Take();
  if (lease.ok()) {
    auto found = RunBatch(***lease, *replica.segment, plan, queries);
    if (found.ok()) {
      for (size_t i = 0; i < running.size(); ++i) running[i]->answer = std::move((*found)[i]);
      return;
    }
    failed = found.status();
    (*lease)->Discard();
  } else {
    failed = lease.status();
  }
  replica.segment->device().Note(failed);
  for (Item* item : running) item->answer = failed;
}

absl::StatusOr<Result> GpuScan::Answer(Item& item) const {
  const Request& request = *item.request;
  if (IsStopped(request.stopped)) return absl::CancelledError("the search was stopped");
  if (!item.answer.ok()) return OnCpu(request, item.answer.status());
  if (!item.answer->has_value()) return OnCpu(request, absl::OkStatus());
  return **std::move(item.answer);
}

absl::StatusOr<Result> GpuScan::OnCpu(const Request& request, const absl::Status& why) const {
  if (required_ && !why.ok()) return why;
  Request first = request;
  first.later = {};
  return codes_.Search(first);
}

}  // namespace mrl::coarse::gpu
