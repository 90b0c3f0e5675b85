# In the virtual machine: sound cards of a real ALSA driver, this tree, and cards.py.
set -e
mkdir /run/tree
cp -r /share/appliance /share/cards.py /run/tree/
cd /run/tree
python3 -m compileall -q appliance
PYTHONPATH=/run/tree python3 cards.py $(cat /share/arguments)
