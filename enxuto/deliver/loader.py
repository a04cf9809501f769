"""The loader that is delivered beside a model and its settings: a file that stands alone."""

LOADER = '''\
"""Loads a model with the settings that it was measured with. Needs numpy and the runtime that settings.json names.

    from load_model import load

    model = load("optimized.onnx", "settings.json")
    outputs = model.run({"input": array})  # arrays by the inputs' names; a list in the order of the file's outputs
"""

import json
import sys


class OnnxRuntimeModel:
    def __init__(self, path, settings):
        import onnxruntime as ort

        options = ort.SessionOptions()
        enumerations = {
            "execution_mode": ort.ExecutionMode,
            "graph_optimization_level": ort.GraphOptimizationLevel,
        }
        for name, value in settings["session_options"].items():
            setattr(options, name, getattr(enumerations[name], value) if name in enumerations else value)
        for name, value in settings["session_config"].items():
            options.add_session_config_entry(name, value)
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, feeds):
        return self.session.run(None, feeds)


class OpenVinoModel:
    def __init__(self, path, settings):
        import openvino

        self.core, self.path, self.settings, self.shapes = openvino.Core(), str(path), settings, set()
        if not settings["fixed_shapes"]:
            self.compile({})

    def compile(self, shapes):
        model = self.core.read_model(self.path)
        model.reshape(shapes)
        self.request = self.core.compile_model(model, "CPU", self.settings["config"]).create_infer_request()

    def run(self, feeds):
        shapes = tuple((name, array.shape) for name, array in sorted(feeds.items()))
        if self.settings["fixed_shapes"] and shapes not in self.shapes:
            self.shapes.clear()  # as long as all calls have the same shapes, this happens once
            self.compile(dict(shapes))
        if shapes in self.shapes:
            found = self.request.infer(feeds)
            return [found[position] for position in range(len(found))]
        self.request.start_async(feeds)  # the slower way once: with one thread, infer() passes over errors (2026.4)
        self.request.wait()
        self.shapes.add(shapes)
        return [tensor.data.copy() for tensor in self.request.output_tensors]


RUNTIMES = {"onnxruntime": OnnxRuntimeModel, "openvino": OpenVinoModel}


def load(model_path, settings_path="settings.json"):
    """A model whose ``run(feeds)`` takes arrays by name and gives a list of arrays. One caller at a time."""
    with open(settings_path, encoding="utf-8") as file:
        settings = json.load(file)
    return RUNTIMES[settings["runtime"]](model_path, settings)


if __name__ == "__main__":
    load(*sys.argv[1:3])
    print("loads with these settings")
'''
