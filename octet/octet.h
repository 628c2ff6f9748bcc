#pragma once

/// Everything that a program needs of octet. What this file includes, directly or not, is what is installed.

// Models: read, record, run, write.
#include "octet/formats/container.h"
#include "octet/formats/model_file.h"
#include "octet/formats/npy.h"
#include "octet/formats/onnx.h"
#include "octet/formats/pt2.h"
#include "octet/formats/pt2_writer.h"
#include "octet/formats/safetensors.h"
#include "octet/formats/state_dict.h"
#include "octet/formats/tflite.h"
#include "octet/formats/torchscript.h"
#include "octet/graph/graph_module.h"
#include "octet/graph/match.h"
#include "octet/graph/record.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/stats.h"
#include "octet/models/registry.h"
#include "octet/models/state_dict.h"

// Quantization: specs, observers, prepare and convert, what came of it.
#include "octet/quantize/bias_pass.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/encodings.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/freeze.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/learned_scales.h"
#include "octet/quantize/observers.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/quantizer.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/quantize/value_study.h"

// Targets.
#include "octet/targets/coreml/coreml_quantizer.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/intx/quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/targets.h"
#include "octet/targets/xnnpack/xnnpack_quantizer.h"

// int8 programs.
#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/part.h"
#include "octet/lowering/program_graph.h"
#include "octet/lowering/verify.h"

// Training.
#include "octet/train/checkpoints.h"
#include "octet/train/distill.h"
#include "octet/train/evaluate.h"
#include "octet/train/group.h"
#include "octet/train/image_folder.h"
#include "octet/train/integer_handle.h"
#include "octet/train/loader.h"
#include "octet/train/open_data.h"
#include "octet/train/progress.h"
#include "octet/train/qat.h"
#include "octet/train/tasks.h"
#include "octet/train/trainer.h"

// What was found, as text and as JSON.
#include "octet/report/check_report.h"
#include "octet/report/deviation_reports.h"
#include "octet/report/model_reports.h"
#include "octet/report/page.h"
#include "octet/report/training_reports.h"

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/version.h"
