// Profiles: named, versioned funnels of a collection. One may be the default, one may run beside
// the others as their shadow. Plain values; a collection keeps them in its manifest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/funnel/plan.h"

namespace mrl::funnel {

// The recall of a funnel as it was once measured, and the data that it speaks of.
struct Certificate {
  static constexpr double kChangeMax = 0.1;

  std::string funnel;  // the plan that ran, in text
  uint32_t k = 0;
  uint32_t queries = 0;
  bool own_points =
      false;  // the queries were points of the collection, each left out of its result
  double recall = 0;
  double low = 0, high = 0;  // 95 % interval of the recall
  std::vector<double> lost;  // share of the true neighbours per stage; with recall they add up to 1
  uint64_t seed = 0;
  uint64_t generation = 0, sequence = 0, rows = 0;  // of the data
  int64_t created_unix_s = 0;
  double change_max = kChangeMax;  // share of the data that may change until it expires

  // Writes since it was measured, by the rows of then. A write counts once, whatever it wrote.
  double ChangedShare(uint64_t sequence_now) const;
  bool Expired(uint64_t sequence_now) const { return ChangedShare(sequence_now) > change_max; }
  // INVALID_ARGUMENT for figures that no measurement gives.
  absl::Status Validate() const;
  bool operator==(const Certificate&) const = default;
};

// A funnel as it was once saved; but for its certificate it is never changed afterwards.
struct ProfileVersion {
  uint32_t version = 0;  // from 1
  std::string funnel;    // text form
  uint32_t k = 10;       // that its keeps were chosen for
  int64_t created_unix_s = 0;
  std::string note = {};                        // of whoever saved it
  std::optional<Certificate> certificate = {};  // the newest
  bool operator==(const ProfileVersion&) const = default;
};

struct Profile {
  std::string name;
  uint32_t serving = 0;                  // the version that searches by this name get
  std::vector<ProfileVersion> versions;  // oldest first, at least one

  // Null when there is no such version.
  const ProfileVersion* Find(uint32_t version) const;
  const ProfileVersion& served() const;
  bool operator==(const Profile&) const = default;
};

// INVALID_ARGUMENT unless `name` is 1 to kNameBytesMax of a-z, 0-9, _ and -, and begins with a
// letter or digit.
absl::Status CheckProfileName(absl::string_view name);

struct ProfileSet {
  static constexpr size_t kProfilesMax = 64;
  // The oldest version that does not serve goes when one more is saved.
  static constexpr size_t kVersionsMax = 100;
  static constexpr size_t kNameBytesMax = 63;
  static constexpr size_t kNoteBytesMax = 1000;

  std::vector<Profile> profiles;  // in order of names
  std::string default_name;       // "" = none: the built-in rule chooses
  std::string shadow_name;        // "" = none
  double shadow_share = 0;        // of searches, above 0 to 1 where there is a shadow

  bool empty() const { return profiles.empty(); }
  const Profile* Find(absl::string_view name) const;
  // NOT_FOUND names those that exist.
  absl::StatusOr<const Profile*> Get(absl::string_view name) const;

  // The version's number is given out here; it serves at once. INVALID_ARGUMENT for a bad name,
  // note, k or funnel; RESOURCE_EXHAUSTED for one profile too many.
  absl::Status Create(absl::string_view name, ProfileVersion version);  // ALREADY_EXISTS
  absl::Status AddVersion(absl::string_view name, ProfileVersion version);
  // Lets another version serve; 0 = the one before the version that serves now. NOT_FOUND.
  absl::Status RollBack(absl::string_view name, uint32_t version);
  absl::Status SetDefault(absl::string_view name);  // "" = none
  // A share of 0 takes the shadow away.
  absl::Status SetShadow(absl::string_view name, double share);
  // NOT_FOUND.
  absl::Status SetCertificate(absl::string_view name, uint32_t version, Certificate certificate);
  // FAILED_PRECONDITION for the default; a shadow ends.
  absl::Status Delete(absl::string_view name);
  // What the functions above never leave behind. INVALID_ARGUMENT.
  absl::Status Validate() const;

  bool operator==(const ProfileSet&) const = default;

 private:
  absl::StatusOr<Profile*> GetMutable(absl::string_view name);
};

// The funnel of a version for `k` points: a larger k than the version was made for lets every keep
// grow in proportion, a smaller one leaves them. INVALID_ARGUMENT.
absl::StatusOr<Funnel> FunnelFor(const ProfileVersion& version, uint32_t k);

// A plan and where it comes from.
struct ChosenPlan {
  Plan plan;
  std::string profile;   // "" = no profile: a funnel of the caller, exact, or the built-in rule
  uint32_t version = 0;  // 0 = no profile
};
// The plan of a search. `name` = "": the funnel of `input`, else exact, else the default profile
// where there is one and the query is long enough for it, else the built-in rule. NOT_FOUND for an
// unknown profile; INVALID_ARGUMENT as MakePlan, with the profile where it is to blame.
absl::StatusOr<ChosenPlan> ChoosePlan(const ProfileSet& profiles, absl::string_view name,
                                      PlanInput input);

}  // namespace mrl::funnel
