"""Whose a card's volume controls are, by their names: those that real cards have, as ``amixer`` printed them.

The listings are from reports in public repositories: forum posts, issues and set-up scripts that name the card.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from appliance.soundhost.alsa_mixer import Control, ours


@dataclass(frozen=True)
class Listing:
    """What ``amixer`` says of one card, a line each: name, and its capabilities after a colon."""

    controls: str
    speaker: str
    """Names, in order, that ``speaker.mixer_percent`` sets."""
    microphone: str


CARDS = {
    "USB dongle (C-Media)": Listing(
        "Speaker: pvolume pswitch\nMic: pvolume cvolume pswitch cswitch\nAuto Gain Control: pswitch", "Speaker", "Mic"
    ),
    "USB headset (Corsair VOID)": Listing(
        "Auto Gain Control: pswitch\nHeadset: pvolume pswitch\nHeadset: cvolume cswitch", "Headset", "Headset"
    ),
    "USB headset with sidetone": Listing(
        "Sidetone: pvolume pswitch\nHeadset: pvolume cvolume pswitch cswitch", "Headset", "Headset"
    ),
    "USB headset that monitors": Listing(
        "Headphone: pvolume pswitch\nSidetone: pvolume pswitch\nMic: cvolume cswitch\nExtension Unit: pswitch",
        "Headphone",
        "Mic",
    ),
    "USB microphone (ATR4697)": Listing("Mic: cvolume cswitch\nAuto Gain Control: pswitch", "", "Mic"),
    "webcam": Listing("Mic: cvolume cswitch\nMic Boost: pswitch\nAuto Gain Control: pswitch", "", "Mic"),
    "Pi's headphone socket": Listing("PCM: pvolume pswitch", "PCM", ""),
    "HiFiBerry DAC+ (PCM5122)": Listing(
        "DSP Program: enum\nAnalogue: pvolume\nAnalogue Playback Boost: volume\nAuto Mute: pswitch"
        "\nDigital: pvolume pswitch"
        "\nDeemphasis: pswitch\nVolume Ramp Up Rate: enum",
        "Analogue, Analogue Playback Boost, Digital",
        "",
    ),
    "ReSpeaker 2-Mic (WM8960)": Listing(
        "Headphone: pvolume\nHeadphone Playback ZC: pswitch\nSpeaker: pvolume\nSpeaker AC: volume\nSpeaker DC: volume"
        "\nSpeaker Playback ZC: pswitch\nPCM Playback -6dB: pswitch\nMono Output Mixer Left: pswitch"
        "\nPlayback: pvolume"
        "\nCapture: cvolume cswitch\n3D: volume pswitch\nADC PCM: cvolume\nALC Max Gain: volume\nALC Target: volume"
        "\nLeft Input Boost Mixer LINPUT1: volume\nLeft Input Mixer Boost: pswitch"
        "\nLeft Output Mixer Boost Bypass: volume pswitch"
        "\nLeft Output Mixer LINPUT3: volume pswitch\nLeft Output Mixer PCM: pswitch\nNoise Gate: pswitch"
        "\nNoise Gate Threshold: volume",
        "Headphone, Speaker, Speaker AC, Speaker DC, Playback",
        "Capture, ADC PCM, Left Input Boost Mixer LINPUT1",
    ),
    "ReSpeaker 2-Mic v2 (TLV320AIC3104)": Listing(
        "PCM: pvolume\nLine: pvolume pswitch\nLine DAC: pvolume\nHP: pvolume pswitch\nHP DAC: pvolume"
        "\nHPCOM: pvolume pswitch"
        "\nPGA: cvolume cswitch\nLeft Line Mixer DACL1: pswitch\nLeft Line Mixer Line2L Bypass: pvolume pswitch"
        "\nLeft PGA Mixer Mic2L: pswitch\nAGC: cswitch",
        "PCM, Line, Line DAC, HP, HP DAC, HPCOM",
        "PGA",
    ),
    "Fe-Pi (SGTL5000)": Listing(
        "Headphone: pvolume pswitch\nHeadphone Mux: enum\nPCM: pvolume\nMic: volume\nCapture: cvolume"
        "\nCapture Mux: enum"
        "\nCapture ZC: pswitch\nAVC: pswitch\nLineout: pvolume pswitch",
        "Headphone, PCM, Lineout",
        "Mic, Capture",
    ),
    "a lineout with one volume": Listing(
        "Lineout: volume pswitch\nMic Boost: volume\nLinein Mode: enum", "Lineout", "Mic Boost"
    ),
    "Orange Pi (H3 codec)": Listing(
        "Line In: pvolume pswitch cswitch\nLine Out: pvolume pswitch\nMic1: pvolume pswitch cswitch"
        "\nMic1 Boost: volume"
        "\nADC Gain: cvolume\nDAC: pvolume pswitch",
        "Line Out, DAC",
        "Mic1 Boost, ADC Gain",
    ),
    "an SoC of capitals": Listing(
        "LINEOUT: pswitch\nLINEOUT volume: volume\nLINEINL gain volume: volume\nDACL: volume\nMIC1 gain volume: volume",
        "LINEOUT volume, DACL",
        "MIC1 gain volume",
    ),
    "a codec whose line out has a gain": Listing("LINEOUT Gain: volume\nDACL: volume", "LINEOUT Gain, DACL", ""),
    "Rock Pi (ES8316)": Listing(
        "Headphone: pvolume\nHeadphone Mixer: volume\nSpeaker: pswitch\nMic Boost: pswitch\nADC: cvolume"
        "\nADC PGA Gain: volume"
        "\nADC Double Fs: pswitch\nDAC: pvolume",
        "Headphone, Headphone Mixer, Speaker, DAC",
        "ADC, ADC PGA Gain",
    ),
    "PC (ALC, Dell T3500)": Listing(
        "Master: pvolume pswitch\nHeadphone: pvolume pswitch\nSpeaker: pvolume pswitch\nPCM: pvolume"
        "\nLine: pvolume pswitch"
        "\nLine Boost: volume\nLine Out: pvolume pswitch\nMic: pvolume pswitch\nMic Boost: volume"
        "\nBeep: pvolume pswitch"
        "\nCapture: cvolume cswitch\nAuto-Mute Mode: enum\nLoopback Mixing: enum",
        "Master, Headphone, Speaker, PCM, Line Out",
        "Mic Boost, Capture",
    ),
    "PC whose outputs are switches": Listing(
        "Master: pvolume pswitch\nHeadphone: pswitch\nHeadphone+LO: pvolume\nLine Out: pswitch"
        "\nFront Mic: pvolume pswitch"
        "\nFront Mic Boost: volume\nIEC958: pswitch\nCapture: cvolume cswitch\nDigital: cvolume"
        "\nDynamic Power-Control: pswitch",
        "Master, Headphone, Headphone+LO, Line Out",
        "Front Mic Boost, Capture, Digital",
    ),
    "a dynamic one": Listing("Dynamic: pvolume pswitch\nMic: cvolume cswitch", "Dynamic", "Mic"),
    "a dynamic one with one volume": Listing("Dynamic: volume\nMicrophone: volume", "Dynamic", "Microphone"),
    "old sound card (AC'97)": Listing(
        "Master: pvolume pswitch\nMaster Mono: pvolume pswitch\nPCM: pvolume pswitch\nLine: pvolume pswitch cswitch"
        "\nCD: pvolume pswitch cswitch\nMic: pvolume pswitch cswitch\nVideo: pvolume pswitch cswitch"
        "\nPhone: pvolume pswitch cswitch"
        "\nAux: pvolume pswitch cswitch\nPC Speaker: pvolume pswitch\nTone Control - Bass: pvolume"
        "\nTone Control - Treble: pvolume"
        "\nCapture: cvolume cswitch\n3D Control - Depth: pvolume",
        "Master, Master Mono, PCM",
        "Capture",
    ),
    "snd-dummy": Listing(
        "Master: volume cswitch\nSynth: volume cswitch\nLine: volume cswitch\nMic: volume cswitch\nCD: volume cswitch",
        "Master",
        "Mic",
    ),
    "a card with nothing but a line input": Listing("Line: cvolume cswitch\nPCM: pvolume", "PCM", "Line"),
    "speakers with a subwoofer": Listing(
        "Speaker: pvolume pswitch\nBass Speaker: pvolume pswitch\nBass: pvolume", "Speaker, Bass Speaker", ""
    ),
    "a microphone array with a loopback": Listing(
        "Mic: cvolume cswitch\nLoopback: cvolume cswitch\nSPDIF In: cvolume cswitch", "", "Mic"
    ),
}


def controls_of(listing: Listing) -> list[Control]:
    found = []
    for line in listing.controls.splitlines():
        name, _, said = line.rpartition(": ")
        words = said.split()
        common = "volume" in words
        sides = {"p": "playback", "c": "capture"}
        volumes = {sides[word[0]] for word in words if word in ("pvolume", "cvolume")}
        switches = {sides[word[0]] for word in words if word in ("pswitch", "cswitch")}
        found.append(Control(name, frozenset(sides.values() if common else volumes), common, frozenset(switches)))
    return found


@pytest.mark.parametrize("card", CARDS)
def test_a_cards_controls_are_the_speakers_the_microphones_or_nobodys(card: str) -> None:
    controls = controls_of(CARDS[card])
    assert ", ".join(control.name for control in ours(controls, "playback")) == CARDS[card].speaker
    assert ", ".join(control.name for control in ours(controls, "capture")) == CARDS[card].microphone
