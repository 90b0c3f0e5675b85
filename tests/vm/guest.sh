# In the virtual machine: two sound cards of a real ALSA driver, this tree, and guest.py.
set -e
mkdir /run/tree
cp -r /share/appliance /share/guest.py /share/card.py /run/tree/
cd /run/tree
python3 -m compileall -q appliance
modprobe snd-aloop enable=1,1 index=0,1 id=Microphone,Speaker pcm_substreams=1,1
udevadm settle
status=0
python3 guest.py $(cat /share/arguments) || status=1
python3 guest.py --auto idle=2 listening=1 speaking=2 || status=1
# After the box, which would otherwise have a third card to choose from.
modprobe snd-dummy index=2 id=Dummy pcm_substreams=1
udevadm settle
python3 card.py || status=1
exit $status
