#!/bin/sh
# Inside the container: the service as an installation leaves it. /share/program holds the program and the libraries that
# Debian lacks, /share/systemd the units.
set -eu
cp -r /share/program /usr/lib/voice-appliance
python3 -m compileall -q -j0 /usr/lib/voice-appliance
cat >/usr/bin/voice-appliance <<'EOF'
#!/bin/sh
PYTHONPATH=/usr/lib/voice-appliance exec /usr/bin/python3 -P -m appliance "$@"
EOF
chmod 755 /usr/bin/voice-appliance
cd /share/systemd
install -m 644 voice-appliance.service voice-appliance-key.path voice-appliance-key.service voice-appliance-restart.service \
	voice-appliance-page.socket voice-appliance-page.service /usr/lib/systemd/system/
install -D -m 644 voice-appliance.sysusers /usr/lib/sysusers.d/voice-appliance.conf
install -D -m 644 voice-appliance.catalog /usr/lib/systemd/catalog/voice-appliance.catalog
install -d /etc/voice-appliance
systemd-sysusers
journalctl --update-catalog
systemctl daemon-reload
systemctl --quiet enable voice-appliance.service voice-appliance-key.path
