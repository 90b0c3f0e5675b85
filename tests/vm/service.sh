# In the virtual machine: what a Pi has before anything is installed on it, then service.py.
set -e
. /share/header.sh
# One card that is microphone and speaker, as a USB one mostly is; its second device is the room.
modprobe snd-aloop index=0 id=Device pcm_substreams=1
modprobe uinput
udevadm settle
python3 /share/service.py
