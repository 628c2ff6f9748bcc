#!/usr/bin/env python3
"""Writes the sounds of this folder and what is heard in them: make.py (with numpy, librosa, soundfile).

MFCC and log energies are computed here from the documentation of tf.signal, in the steps of MLPerf Tiny's keyword spotting and
streaming wake word; mel spectrograms in dB and other rates are librosa's own, in the steps of its anomaly detection."""

import pathlib

import librosa
import numpy as np
import soundfile

HERE = pathlib.Path(__file__).parent
RATE = 16000
rng = np.random.default_rng(11)


def voice(seconds, rate):
    """A tone that rises, with overtones and a little noise, as loud as speech is."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * (180 * t + 90 * t * t)
    tone = sum(np.sin(k * phase) / k for k in range(1, 8))
    return (0.2 * tone * np.hanning(len(t)) + 0.003 * rng.standard_normal(len(t))).astype(np.float32)


def htk_mel(hz):
    return 1127.0 * np.log(1.0 + np.asarray(hz, float) / 700.0)


def linear_to_mel(bands, bins, rate, least, most):
    """tf.signal.linear_to_mel_weight_matrix: [bins, bands]."""
    mel = htk_mel(np.linspace(0.0, rate / 2.0, bins)[1:])[:, None]
    edges = np.linspace(htk_mel(least), htk_mel(most), bands + 2)
    low, top, high = edges[None, :-2], edges[None, 1:-1], edges[None, 2:]
    weights = np.maximum(0.0, np.minimum((mel - low) / (top - low), (high - mel) / (high - top)))
    return np.pad(weights, [[1, 0], [0, 0]])


def stft(x, window, stride, shape):
    """tf.signal.stft: whole frames alone, the transform as long as the next power of two."""
    length = 1 << (window - 1).bit_length()
    frames = [x[i : i + window] * shape for i in range(0, len(x) - window + 1, stride)]
    return np.abs(np.fft.rfft(frames, length, axis=-1))


def mfcc(x):
    """MLPerf Tiny's keyword spotting: [49, 10] of a second."""
    x = x.astype(float) / x.max()
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    mel = np.log(stft(x, 480, 320, shape) @ linear_to_mel(40, 257, RATE, 20.0, 4000.0) + 1e-6)
    n = np.arange(40)
    dct = 2 * mel @ np.cos(np.pi / 40 * (n[:, None] + 0.5) * n[None, :])  # type 2, as tf.signal.dct
    return (dct / np.sqrt(2.0 * 40))[:, :10]


def energies(x):
    """MLPerf Tiny's streaming wake word: [30, 40] of a second."""
    x = x.astype(float) / x.max()
    x = x - (1 - 2**-5) * np.concatenate([[0.0], x[:-1]])
    shape = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(1024) / 1023)
    power = np.maximum(stft(x, 1024, 512, shape) ** 2 / 1024, 1e-30)
    mel = 10 * np.log10(power @ linear_to_mel(40, 513, RATE, 0.0, RATE / 2))
    return np.clip((mel + 52 - 32 + 32) / 64, 0, 1)


def log_mel(x):
    """MLPerf Tiny's anomaly detection: frames of 128, those that lie whole within the sound."""
    mel = librosa.feature.melspectrogram(y=x, sr=RATE, n_fft=1024, hop_length=512, n_mels=128, power=2.0, center=False)
    return (20.0 / 2.0 * np.log10(mel + np.finfo(float).eps)).T


def save(name, x, rate, kind):
    soundfile.write(HERE / name, x, rate, subtype=kind, format="WAV")


def main():
    word = voice(1.0, RATE)
    save("word.wav", word, RATE, "PCM_16")
    word = soundfile.read(HERE / "word.wav", dtype="float32")[0]
    np.save(HERE / "mfcc.npy", mfcc(word).astype(np.float32))
    np.save(HERE / "energies.npy", energies(word).astype(np.float32))
    np.save(HERE / "log_mel.npy", log_mel(word).astype(np.float32))
    np.save(HERE / "word_11025.npy", librosa.resample(word, orig_sr=RATE, target_sr=11025)[:4000])
    short = voice(0.02, RATE)
    for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        save(kind.lower() + ".wav", short, RATE, kind)
        np.save(HERE / (kind.lower() + ".npy"), soundfile.read(HERE / (kind.lower() + ".wav"), dtype="float32")[0])
    three = np.stack([short, short[::-1], 0.5 * short], 1)
    save("channels.wav", three, RATE, "PCM_16")
    np.save(HERE / "channels.npy", librosa.to_mono(soundfile.read(HERE / "channels.wav", dtype="float32")[0].T))
    save("adpcm.wav", short, RATE, "MS_ADPCM")


if __name__ == "__main__":
    main()
