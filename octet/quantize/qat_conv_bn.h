#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/callable_module.h"
#include "octet/graph/run_listener.h"
#include "octet/quantize/accumulator.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/grid_forward.h"

namespace octet {

/// A convolution (or linear) and the BatchNorm behind it, trained as the one convolution that they become at convert.
///
/// Inputs: x, weight W, bias b or undefined, gamma or undefined, beta or undefined, running_mean, running_var. With
/// f = gamma / sqrt(running_var + eps) and FQ the fake quantizers of weight and bias:
///
///   statistics of the batch:   out = BatchNorm(conv(x, FQ(W * f) / f, b)), which moves the running statistics
///   running statistics:        out = conv(x, FQ(W * f), FQ((b - mean) * f + beta)): to the bit what convert writes
///
/// The first form is taken in train mode until the statistics are frozen. There, |gamma| is taken as at least 1e-3 in
/// f, which cancels between the two, so that gamma = 0 trains. The convolution's and the BatchNorm's own
/// numbers (stride, eps, momentum, ...) are kept. Formulas: torchao's QAT simulation, in exact arithmetic.
class QatConvBn : public CallableModule, public RunListener {
 public:
  /// `pair` is read for its literals.
  explicit QatConvBn(const ConvBatchNorm& pair);
  /// From what op(), literals(), info(), eps() and momentum() of another gave.
  QatConvBn(Op op, std::vector<c10::IValue> literals, ConvInfo info, double eps, double momentum);
  /// Once, after construction; either may be null.
  void set_fake_quantizers(std::shared_ptr<ObserverBase> weight, std::shared_ptr<ObserverBase> bias);

  at::Tensor call(const std::vector<at::Tensor>& inputs) override { return call(inputs, nullptr); }
  /// The same, where x lies on a grid that is known: summed in integers where that is faster.
  at::Tensor call(const std::vector<at::Tensor>& inputs, const RoundingGrid* grid_of_x);
  void begin_run() override;
  std::shared_ptr<CallableModule> copy() const override;
  void relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) override;

  /// Running statistics stay as they are while frozen, in train mode too. Kept in the buffer `bn_stats_frozen`.
  void freeze_bn_stats(bool on = true);
  bool bn_stats_frozen() const;

  /// Channels of the result whose weights are trained, int64 in rising order; undefined: all. The others' weight has no
  /// gradient, nor has, in the second form, their gamma, which is a part of the weight there. Of one training: copies
  /// train all.
  void set_trained_channels(at::Tensor channels) { trained_ = std::move(channels); }
  /// True where the gradient of the others is not even computed.
  bool leaves_out_channels() const { return conv_geometry(op_, literals_).has_value(); }

  /// True in the first form.
  bool normalizes_batch() const { return is_training() && !bn_stats_frozen(); }
  /// What the BatchNorm of the first form is given: conv(x, FQ(W * f) / f, b). `pending` is for conv2d.
  at::Tensor before_batch_norm(const std::vector<at::Tensor>& inputs, const RoundingGrid* grid_of_x = nullptr,
                               const c10::intrusive_ptr<PendingGradient>& pending = {});

  /// Weight and bias of the one convolution: W * f and (b - mean) * f + beta.
  struct Folded {
    at::Tensor weight;
    at::Tensor bias;
  };
  Folded fold(const std::vector<at::Tensor>& inputs) const;
  /// Gives the weight's fake quantizer the smallest scales that these parameters ask for (accumulator.h).
  RoomMade make_room(const at::Tensor& weight, const at::Tensor& bias) const;

  /// The convolution node for the folded parameters, at the graph's insert point; `bias` may be null.
  Node* emit(Graph& graph, const std::string& name, Node* x, Node* weight, Node* bias) const;

  const Op& op() const { return op_; }
  /// The convolution's arguments; None for input, weight and bias.
  const std::vector<c10::IValue>& literals() const { return literals_; }
  const ConvInfo& info() const { return info_; }
  double eps() const { return eps_; }
  double momentum() const { return momentum_; }
  void set_momentum(double momentum) { momentum_ = momentum; }
  const std::shared_ptr<ObserverBase>& weight_fake_quant() const { return weight_fake_quant_; }
  const std::shared_ptr<ObserverBase>& bias_fake_quant() const { return bias_fake_quant_; }

 private:
  QatConvBn(const QatConvBn& other, const at::Tensor& frozen);
  /// The convolution's weight in the first form (`divided`) or the second: W, scaled, rounded, and divided again.
  RoundedWeight rounded_weight(const std::vector<at::Tensor>& inputs, bool divided) const;
  /// The same in one call (kernels/round_weight.h), where fake quantizer and tensors are such as that takes.
  std::optional<RoundedWeight> weight_in_one_call(const std::vector<at::Tensor>& inputs, bool divided) const;
  at::Tensor convolve(const at::Tensor& x, const RoundedWeight& weight, const at::Tensor& bias,
                      const RoundingGrid* grid_of_x, const c10::intrusive_ptr<PendingGradient>& pending = {}) const;
  /// `values`, a number a channel, with the gradient of the trained ones.
  at::Tensor trained_only(const at::Tensor& values) const;

  Op op_;
  std::vector<c10::IValue> literals_;  ///< one for each argument; the first three are replaced
  ConvInfo info_;
  double eps_;
  double momentum_;
  std::shared_ptr<ObserverBase> weight_fake_quant_;
  std::shared_ptr<ObserverBase> bias_fake_quant_;
  at::Tensor frozen_;
  at::Tensor trained_;
};

}  // namespace octet
