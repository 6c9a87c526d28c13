#include "index/coarse/gpu/faiss_gpu.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"

namespace mrl::coarse::gpu {
namespace {

constexpr absl::string_view kIndex = "a FAISS index";

const Params& ParamsOf(const Request& request) {
  static const Params& none = *new Params;
  return request.params == nullptr ? none : *request.params;
}

// Holds for good what may not be destroyed.
template <typename T>
void Abandon(std::unique_ptr<T> held) {
  static absl::Mutex mutex(absl::kConstInit);
  static auto& all = *new std::vector<std::unique_ptr<T>>;
  const absl::MutexLock lock(&mutex);
  all.push_back(std::move(held));
}

// An index whose every call, and whose end, holds its device's mutex; and its memory.
class OneAtATime final : public FaissRunner {
 public:
  OneAtATime(Device& device, absl::Mutex& mutex, MemoryAccount::Reservation memory,
             std::unique_ptr<FaissRunner> runner)
      : device_(device), mutex_(mutex), memory_(std::move(memory)), runner_(std::move(runner)) {}
  ~OneAtATime() override {
    const absl::MutexLock lock(&mutex_);
    if (device_.lost()) Abandon(std::move(runner_));
    runner_ = nullptr;
    memory_ = MemoryAccount::Reservation();
    device_.GaveBack();
  }
  absl::Status Search(absl::Span<const float> queries, size_t k, size_t nprobe, float* distances,
                      int64_t* labels) override {
    return Call([&] { return runner_->Search(queries, k, nprobe, distances, labels); });
  }
  absl::Status Train(absl::Span<const float> vectors) override {
    return Call([&] { return runner_->Train(vectors); });
  }
  absl::Status Add(absl::Span<const float> vectors) override {
    return Call([&] { return runner_->Add(vectors); });
  }
  absl::StatusOr<std::unique_ptr<FaissLibrary>> CopyToHost() override {
    std::unique_ptr<FaissLibrary> copy;
    MRL_RETURN_IF_ERROR(Call([&]() -> absl::Status {
      MRL_ASSIGN_OR_RETURN(copy, runner_->CopyToHost());
      return absl::OkStatus();
    }));
    return copy;
  }

 private:
  template <typename F>
  absl::Status Call(const F& call) {
    const absl::MutexLock lock(&mutex_);
    MRL_RETURN_IF_ERROR(device_.CheckLost());
    absl::Status status = call();
    device_.Note(status);
    return status;
  }

  Device& device_;
  absl::Mutex& mutex_;
  MemoryAccount::Reservation memory_;
  std::unique_ptr<FaissRunner> runner_;
};

}  // namespace

FaissDevice::FaissDevice(Device& device, MakeFaissResources make)
    : device_(device),
      make_(std::move(make)),
      queue_(1, [](const Plan& plan, const std::vector<Item*>& items) {
        std::vector<float> queries;
        for (const Item* item : items) {
          queries.insert(queries.end(), item->query->begin(), item->query->end());
        }
        std::vector<float> distances(items.size() * plan.fetch);
        std::vector<int64_t> labels(items.size() * plan.fetch, -1);
        const absl::Status status =
            plan.runner->Search(queries, plan.fetch, plan.nprobe, distances.data(), labels.data());
        for (size_t i = 0; i < items.size(); ++i) {
          const auto begin = static_cast<ptrdiff_t>(i * plan.fetch);
          const auto end = begin + static_cast<ptrdiff_t>(plan.fetch);
          items[i]->status = status;
          items[i]->distances.assign(distances.begin() + begin, distances.begin() + end);
          items[i]->labels.assign(labels.begin() + begin, labels.begin() + end);
        }
      }) {}

FaissDevice::~FaissDevice() {
  if (device_.lost()) Abandon(std::move(resources_));
}

absl::StatusOr<std::unique_ptr<FaissRunner>> FaissDevice::Copy(const FaissLibrary& library,
                                                               uint64_t bytes,
                                                               FaissPrecision precision) {
  if (make_ == nullptr) {
    return absl::UnimplementedError(
        "faiss_gpu: this program was built without FAISS's GPU classes (MRL_FAISS_GPU)");
  }
  if (library.gpu_form() == FaissLibrary::GpuForm::kNone) {
    return absl::UnimplementedError(
        "faiss_gpu: this index has no GPU form; Flat, IVFFlat, IVFPQ and IVFScalarQuantizer have");
  }
  const absl::MutexLock lock(&mutex_);
  MRL_RETURN_IF_ERROR(device_.CheckLost());
  auto runner = CopyAlone(library, bytes, precision);
  device_.Note(runner.status());
  return runner;
}

absl::StatusOr<std::unique_ptr<FaissRunner>> FaissDevice::CopyAlone(const FaissLibrary& library,
                                                                    uint64_t bytes,
                                                                    FaissPrecision precision) {
  MRL_RETURN_IF_ERROR(Prepare());
  MRL_RETURN_IF_ERROR(device_.CheckRoom(bytes, kIndex));
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation memory, device_.Reserve(bytes, kIndex));
  MRL_ASSIGN_OR_RETURN(std::unique_ptr<FaissRunner> runner, resources_->Copy(library, precision));
  return std::make_unique<OneAtATime>(device_, mutex_, std::move(memory), std::move(runner));
}

absl::Status FaissDevice::Prepare() {
  if (resources_ != nullptr) return absl::OkStatus();
  const uint64_t bytes = std::min(kScratchBytesMax, device_.account().limit_bytes() / 8);
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation scratch,
                       device_.Reserve(bytes, "FAISS's scratch memory"));
  MRL_ASSIGN_OR_RETURN(resources_, make_(device_, bytes));
  scratch_ = std::move(scratch);
  return absl::OkStatus();
}

void FaissDevice::Serve(const Plan& plan, const std::vector<Item*>& items) {
  queue_.Serve(plan, items, kBatchMax);
}

// One request on its way.
struct FaissGpu::Asked {
  const Request* request = nullptr;
  std::vector<float> query;
  size_t wanted = 0;  // rows that it can have at most
  FaissLibrary::Found found;
  bool done = false;
  absl::Status failed;
};

FaissGpu::FaissGpu(std::shared_ptr<const CoarseIndex> built, const FaissIndex& index, bool required,
                   std::string why_none)
    : built_(std::move(built)),
      index_(index),
      required_(required),
      why_none_(std::move(why_none)) {}

void FaissGpu::Place(std::vector<Copy> copies) {
  for (Copy& copy : copies) {
    Replica& replica = *replicas_.emplace_back(std::make_unique<Replica>());
    replica.runner = std::move(copy.runner);
    replica.device = copy.device;
  }
  placed_ = true;
}

std::string FaissGpu::Describe() const {
  const std::string text = absl::StrCat("faiss_gpu ", index_.factory(), " on ", dims(), " dims");
  if (replicas().empty()) return absl::StrCat(text, " by the CPU: ", why_none_);
  std::vector<std::string> places;
  for (const auto& replica : replicas()) {
    const Device& device = replica->device->device();
    places.push_back(device.lost() || replica->broken ? "the CPU, after a fault of the device"
                                                      : device.name());
  }
  return absl::StrCat(text, ": ", absl::StrJoin(places, "; "));
}

absl::StatusOr<Result> FaissGpu::Search(const Request& request) const {
  return std::move(SearchTile({&request, 1}).front());
}

FaissGpu::Replica* FaissGpu::Choose() const {
  Replica* chosen = nullptr;
  for (const auto& replica : replicas()) {
    if (replica->broken || replica->device->device().lost()) continue;
    if (chosen == nullptr || replica->waiting < chosen->waiting) chosen = replica.get();
  }
  return chosen;
}

absl::Status FaissGpu::Lost() const {
  const Replica& first = *replicas().front();
  MRL_RETURN_IF_ERROR(first.device->device().CheckLost());
  return absl::InternalError("faiss_gpu: FAISS refused an earlier search of this index");
}

absl::Status FaissGpu::CheckRequest(const Request& request) const {
  MRL_RETURN_IF_ERROR(index_.Check(request));
  return index_.library().CheckParams(ParamsOf(request));
}

Results FaissGpu::SearchTile(absl::Span<const Request> requests) const {
  std::vector<Asked> asked(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    asked[i].request = &requests[i];
    asked[i].failed = CheckRequest(requests[i]);
    if (!asked[i].failed.ok()) continue;
    asked[i].query = index_.QueryOf(requests[i]);
    asked[i].wanted = std::min<uint64_t>(
        requests[i].keep, CountAllowed(requests[i].allowed, index_.segment()->rows()));
  }
  if (Replica* replica = Choose()) {
    replica->waiting += static_cast<uint32_t>(asked.size());
    RunRounds(*replica, asked);
    replica->waiting -= static_cast<uint32_t>(asked.size());
  } else if (!replicas().empty()) {
    for (Asked& one : asked) one.failed.Update(Lost());
  }
  Results results;
  for (Asked& one : asked) {
    const Request& request = *one.request;
    const bool by_caller = absl::IsInvalidArgument(one.failed) || absl::IsCancelled(one.failed);
    if (by_caller || (required_ && !one.failed.ok())) {
      results.emplace_back(one.failed);
    } else if (!one.done) {
      results.push_back(index_.Search(request));
    } else if (IsStopped(request.stopped)) {
      results.emplace_back(absl::CancelledError("the search was stopped"));
    } else {
      results.emplace_back(index_.ResultOf(std::move(one.found), request.keep));
    }
  }
  return results;
}

void FaissGpu::RunRounds(Replica& replica, std::vector<Asked>& asked) const {
  const size_t rows = index_.segment()->rows();
  // More is fetched, four times as much each round, until a filter leaves enough.
  for (size_t factor = 1; factor <= kFaissKMax; factor *= 4) {
    std::map<std::pair<size_t, size_t>, std::vector<Asked*>> rounds;  // by rows fetched and nprobe
    for (Asked& one : asked) {
      if (one.done || !one.failed.ok()) continue;
      const size_t most = std::min(kFaissKMax, rows);
      const size_t fetch = std::min(most, one.wanted * factor);
      const size_t nprobe = index_.library().Nprobe(ParamsOf(*one.request));
      one.done = one.wanted == 0;
      const bool same = factor > 1 && std::min(most, one.wanted * factor / 4) == fetch;
      if (one.done || same || one.wanted > kFaissKMax || nprobe > kFaissKMax) continue;
      rounds[{fetch, nprobe}].push_back(&one);
    }
    if (rounds.empty()) return;
    for (const auto& [size, members] : rounds) RunRound(replica, size.first, size.second, members);
  }
}

void FaissGpu::RunRound(Replica& replica, size_t fetch, size_t nprobe,
                        const std::vector<Asked*>& asked) const {
  std::vector<FaissDevice::Item> items(asked.size());
  std::vector<FaissDevice::Item*> pointers;
  for (size_t i = 0; i < asked.size(); ++i) {
    items[i].query = &asked[i]->query;
    pointers.push_back(&items[i]);
  }
  replica.device->Serve({replica.runner.get(), fetch, nprobe}, pointers);
  const bool inner_product = index_.library().inner_product();
  for (size_t i = 0; i < asked.size(); ++i) {
    Asked& one = *asked[i];
    one.failed = items[i].status;
    if (!one.failed.ok()) {
      if (absl::IsInternal(one.failed)) replica.broken = true;
      continue;
    }
    const Request& request = *one.request;
    one.found.rows.clear();
    for (size_t j = 0; j < fetch && items[i].labels[j] >= 0; ++j) {
      const auto row = static_cast<uint32_t>(items[i].labels[j]);
      const float distance = items[i].distances[j];
      if (!IsAllowed(request.allowed, row)) continue;
      one.found.rows.push_back({inner_product ? distance : -distance, row});
    }
    one.found.rows_scanned += index_.library().RowsScanned(ParamsOf(request), fetch);
    // Lists that are not probed hold rows that nobody finds: fewer may be all there are.
    one.done = request.allowed == nullptr || one.found.rows.size() >= one.wanted;
  }
}

}  // namespace mrl::coarse::gpu
