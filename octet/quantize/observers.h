#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octet/graph/run_listener.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/reading.h"
#include "octet/support/api.h"

namespace octet {

/// float32's machine epsilon: the smallest scale where a spec asks for nothing else.
inline constexpr double kDefaultEps = std::numeric_limits<float>::epsilon();

/// Base of the observers that keep a range: buffers `eps` [1], `min_val` and `max_val` (0-dim: +inf, -inf until data
/// came; per channel: empty until then). forward() watches the detached input and returns it as it came.
class OCTET_API RangeObserver : public ObserverBase {
 public:
  at::Tensor forward(const at::Tensor& x) override;
  /// What forward() does, told by the range of the values alone, float32 each: 0-dim, or of each channel for an
  /// observer of channels. False, and nothing done, where it asks for more: other observers than of minimum and
  /// maximum, numbers that do not count (reading.h).
  bool forward_range(const at::Tensor& low, const at::Tensor& high);
  QParams calculate_qparams() const override;
  bool has_data() const override;
  /// Forgets everything seen.
  virtual void reset();
  double eps() const;
  /// No scale is smaller than these from now on: float32, [1] or [channels]. Not saved with the state.
  void require_scale(const at::Tensor& least) { least_scale_ = least; }
  /// Of require_scale(); undefined: none.
  const at::Tensor& required_scale() const { return least_scale_; }
  /// Observers and fake quantizers whose range is this one's from each forward on: the same tensors, so that what a
  /// moving average among them makes of them is where this one goes on from, as in the reference.
  void set_followers(std::vector<std::shared_ptr<ObserverBase>> followers) { followers_ = std::move(followers); }
  const std::vector<std::shared_ptr<ObserverBase>>& followers() const { return followers_; }
  void relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) override;
  /// Goes on from this range, as if it had found it.
  virtual void take_range(const at::Tensor& low, const at::Tensor& high);

  at::Tensor min_val;
  at::Tensor max_val;
  /// What the readers of the value make of it; prepare says so.
  Reading reading = Reading::kPlain;
  /// True once infinities, or numbers beyond 1e30, were left out of the range of a value that is read plainly.
  bool left_some_out() const { return left_some_out_; }

 protected:
  /// The grid of a range, its scales as large as required.
  QParams grid_of(const at::Tensor& low, const at::Tensor& high) const;
  /// Throws octet::Error where the scheme is of the other kind than `per_channel`, or a dynamic one not allowed.
  RangeObserver(const std::string& name, const ObserverArgs& args, double eps, bool per_channel, bool may_be_dynamic);
  /// `x` is detached, float32 and not empty.
  virtual void observe(const at::Tensor& x) = 0;
  /// The same by the range of what counts; false where values are needed.
  virtual bool observe_range(const at::Tensor& low, const at::Tensor& high) { return false; }
  /// What counts of `x`, and its range.
  SeenRange look_at(const at::Tensor& x);
  /// Buffers of one equal those of the other.
  void copy_state_from(const RangeObserver& other);

  at::Tensor eps_;

 private:
  void lead_followers();

  bool left_some_out_ = false;
  at::Tensor least_scale_;  // undefined: none
  std::vector<std::shared_ptr<ObserverBase>> followers_;
};

/// The running minimum and maximum of all that was seen.
class OCTET_API MinMaxObserver : public RangeObserver {
 public:
  explicit MinMaxObserver(const ObserverArgs& args, double eps = kDefaultEps);
  std::string type_name() const override { return "MinMaxObserver"; }
  std::shared_ptr<CallableModule> copy() const override;

 protected:
  MinMaxObserver(const std::string& name, const ObserverArgs& args, double eps, bool may_be_dynamic);
  void observe(const at::Tensor& x) override;
  bool observe_range(const at::Tensor& low, const at::Tensor& high) override;
};

/// What a moving average takes for one step, where a program reads one observer at several places.
enum class Averaging {
  kEachCall,  ///< each place in turn, as the reference does: the average converges to the mean of their ranges
  kEachRun,   ///< a run of the program: towards the range of all its places together; calibrate() starts it
};

/// The first range, then v += c * (current - v). With Averaging::kEachRun, `current` is the range of all that came
/// since the run began (GraphModule says when), and the first run's range is the first.
class OCTET_API MovingAverageMinMaxObserver : public MinMaxObserver, public RunListener {
 public:
  explicit MovingAverageMinMaxObserver(const ObserverArgs& args, double averaging_constant = 0.01,
                                       double eps = kDefaultEps, Averaging averaging = Averaging::kEachCall);
  std::string type_name() const override { return "MovingAverageMinMaxObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  void begin_run() override { run_.reset(); }
  double averaging_constant() const { return averaging_constant_; }
  Averaging averaging() const { return averaging_; }
  /// The average goes on from this range, 0-dim float32 each.
  void start_from(const at::Tensor& low, const at::Tensor& high) { take_range(low, high); }
  void take_range(const at::Tensor& low, const at::Tensor& high) override;

 protected:
  bool observe_range(const at::Tensor& low, const at::Tensor& high) override;

 private:
  struct Run {
    bool is_first;         // nothing was seen before it
    at::Tensor start_low;  // the average when it began
    at::Tensor start_high;
    at::Tensor low;  // of what came since
    at::Tensor high;
  };

  double averaging_constant_;
  Averaging averaging_;
  std::optional<Run> run_;  // with kEachRun, once something came
};

/// Minimum and maximum of each index of `ch_axis`.
class OCTET_API PerChannelMinMaxObserver : public RangeObserver {
 public:
  explicit PerChannelMinMaxObserver(const ObserverArgs& args, double eps = kDefaultEps);
  std::string type_name() const override { return "PerChannelMinMaxObserver"; }
  std::shared_ptr<CallableModule> copy() const override;

 protected:
  PerChannelMinMaxObserver(const std::string& name, const ObserverArgs& args, double eps);
  void observe(const at::Tensor& x) override;
  bool observe_range(const at::Tensor& low, const at::Tensor& high) override;
  /// False for ranges that are not one a channel, of as many channels as before, or not of numbers.
  bool may_take(const at::Tensor& low, const at::Tensor& high) const;
  /// Range of each channel of `x`; throws octet::Error where the number of channels changed.
  std::pair<at::Tensor, at::Tensor> channel_range(const at::Tensor& x) const;
};

/// PerChannelMinMaxObserver with MovingAverageMinMaxObserver's rule.
class OCTET_API MovingAveragePerChannelMinMaxObserver : public PerChannelMinMaxObserver {
 public:
  explicit MovingAveragePerChannelMinMaxObserver(const ObserverArgs& args, double averaging_constant = 0.01,
                                                 double eps = kDefaultEps);
  std::string type_name() const override { return "MovingAveragePerChannelMinMaxObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  double averaging_constant() const { return averaging_constant_; }

 protected:
  bool observe_range(const at::Tensor& low, const at::Tensor& high) override;

 private:
  double averaging_constant_;
};

/// The running minimum and maximum of each block of `block_size`, for weights; scale and zero point have the shape of
/// affine::block_counts(). torchao's PerBlock observers, and what quantize_ does at once.
class OCTET_API BlockMinMaxObserver : public RangeObserver {
 public:
  /// Throws octet::Error without a block size, and where the mapping contradicts the scheme.
  explicit BlockMinMaxObserver(const ObserverArgs& args, MappingType mapping = MappingType::kSymmetric,
                               double eps = kDefaultEps);
  std::string type_name() const override { return "BlockMinMaxObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  QParams calculate_qparams() const override;
  bool has_data() const override { return min_val.dim() > 0; }
  void reset() override;
  MappingType mapping() const { return mapping_; }

 protected:
  void observe(const at::Tensor& x) override;

 private:
  MappingType mapping_;
};

/// Knows its parameters beforehand; buffers `scale`, `zero_point` [1].
class OCTET_API FixedQParamsObserver : public ObserverBase {
 public:
  FixedQParamsObserver(const ObserverArgs& args, double scale, int64_t zero_point);
  at::Tensor forward(const at::Tensor& x) override { return x; }
  QParams calculate_qparams() const override { return {scale, zero_point}; }
  std::string type_name() const override { return "FixedQParamsObserver"; }
  std::shared_ptr<CallableModule> copy() const override;

  at::Tensor scale;
  at::Tensor zero_point;
};

/// Carries a spec and sees nothing: dynamic quantization, and types that need no range. calculate_qparams() throws.
class OCTET_API PlaceholderObserver : public ObserverBase {
 public:
  explicit PlaceholderObserver(const ObserverArgs& args, double eps = kDefaultEps);
  at::Tensor forward(const at::Tensor& x) override { return x; }
  QParams calculate_qparams() const override;
  std::string type_name() const override { return "PlaceholderObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  double eps() const;

 private:
  at::Tensor eps_;
};

/// Does nothing at all. calculate_qparams() throws.
class OCTET_API NoopObserver : public ObserverBase {
 public:
  explicit NoopObserver(const ObserverArgs& args);
  at::Tensor forward(const at::Tensor& x) override { return x; }
  QParams calculate_qparams() const override;
  std::string type_name() const override { return "NoopObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
};

/// Keeps a copy of every tensor it sees, for debugging. calculate_qparams() throws.
class OCTET_API RecordingObserver : public ObserverBase {
 public:
  explicit RecordingObserver(const ObserverArgs& args);
  at::Tensor forward(const at::Tensor& x) override;
  QParams calculate_qparams() const override;
  std::string type_name() const override { return "RecordingObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  const std::vector<at::Tensor>& recorded() const { return recorded_; }
  void clear() { recorded_.clear(); }

 private:
  std::vector<at::Tensor> recorded_;
};

/// How a DerivedObserver computes its parameters from those of its sources; named, so that it can be saved and found
/// again.
struct Derivation {
  std::string name;
  std::function<QParams(const std::vector<QParams>&)> derive;
};
/// scale = input scale * weight scale in float32, zero point 0: the int32 accumulator's own grid. Sources: input,
/// weight.
OCTET_API Derivation bias_derivation();
/// A derivation by name, for loading. Knows every form of the product of two grids, "[bias = ]input * weight", followed
/// by
/// ", tiled N" (the scales repeated N times), " for N channels" (repeated up to N), ", each N times" (each repeated in
/// its place) or " of blocks / N" (the weight's scales are those of blocks: of each output channel the largest product,
/// divided by N); others must have been registered.
/// Throws octet::Error otherwise.
OCTET_API Derivation find_derivation(const std::string& name);
OCTET_API void register_derivation(const Derivation& derivation);

/// Parameters computed from other observers whenever they are asked for; identity in forward. Holds its sources; copy()
/// keeps referring to them until relink() turns it to their copies.
class OCTET_API DerivedObserver : public ObserverBase {
 public:
  DerivedObserver(const ObserverArgs& args, std::vector<std::shared_ptr<ObserverBase>> sources, Derivation derivation);
  at::Tensor forward(const at::Tensor& x) override { return x; }
  QParams calculate_qparams() const override;
  /// True once every source has data.
  bool has_data() const override;
  std::string type_name() const override { return "DerivedObserver"; }
  std::shared_ptr<CallableModule> copy() const override;
  void relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) override;
  const std::vector<std::shared_ptr<ObserverBase>>& sources() const { return sources_; }
  void set_sources(std::vector<std::shared_ptr<ObserverBase>> sources) { sources_ = std::move(sources); }
  const Derivation& derivation() const { return derivation_; }

 private:
  std::vector<std::shared_ptr<ObserverBase>> sources_;
  Derivation derivation_;
};

/// Takes a spec's fields into an observer: range resolved against the dtype, see resolve_quant_range.
OCTET_API void apply_args(ObserverBase& observer, const ObserverArgs& args, const std::string& where);

}  // namespace octet
