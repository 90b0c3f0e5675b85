# In the virtual machine: two sound cards of a real ALSA driver, this tree, the script to measure against, and bench.py.
set -e
mkdir /run/tree
cp -r /share/appliance /share/tests /run/tree/
cd /run/tree
python3 -m compileall -q appliance tests
modprobe snd-aloop enable=1,1 index=0,1 id=Microphone,Speaker pcm_substreams=1,1
udevadm settle
PYTHONPATH=/run/tree python3 -m tests.vm.bench
