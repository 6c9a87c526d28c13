// Why calls are refused before their handlers run: ErrorInfo.reason on the wire and the label of a
// metric.
#pragma once

namespace mrl::server {

inline constexpr char kReasonStarting[] = "STARTING";
inline constexpr char kReasonStopping[] = "STOPPING";
inline constexpr char kReasonNoKey[] = "KEY_NEEDED";
inline constexpr char kReasonUnknownKey[] = "KEY_UNKNOWN";
inline constexpr char kReasonRole[] = "ROLE_TOO_LOW";
inline constexpr char kReasonCollection[] = "COLLECTION_NOT_LISTED";
inline constexpr char kReasonNoRule[] = "METHOD_WITHOUT_RULE";
inline constexpr char kReasonQueueFull[] = "QUEUE_FULL";
inline constexpr char kReasonTooLate[] = "DEADLINE_BEFORE_TURN";
inline constexpr char kReasonRate[] = "RATE_LIMIT";
inline constexpr char kReasonInFlight[] = "IN_FLIGHT_LIMIT";
inline constexpr char kReasonQuotaRate[] = "COLLECTION_RATE_LIMIT";
inline constexpr char kReasonQuotaInFlight[] = "COLLECTION_IN_FLIGHT_LIMIT";
inline constexpr char kReasonQuotaRows[] = "COLLECTION_ROWS_LIMIT";
inline constexpr char kReasonQuotaMemory[] = "COLLECTION_MEMORY_LIMIT";

inline constexpr const char* kReasons[] = {
    kReasonStarting,      kReasonStopping,   kReasonNoKey,      kReasonUnknownKey,
    kReasonRole,          kReasonCollection, kReasonNoRule,     kReasonQueueFull,
    kReasonTooLate,       kReasonRate,       kReasonInFlight,   kReasonQuotaRate,
    kReasonQuotaInFlight, kReasonQuotaRows,  kReasonQuotaMemory};

}  // namespace mrl::server
