#!/bin/sh
# Founds the network of compose.yaml: keys of all nodes, parameters, map. Once; it replaces nothing.
#
#     found.sh NODES CONFIGURATION
#
# NODES is the folder of the nodes' folders (volumes), CONFIGURATION has a node.toml for each. Here one person plays
# founder, operator and every member. In earnest each runs its own commands on its own machine: docker/README.md.
set -eu

nodes=$1
configuration=$2
founder=$nodes/founder
members="mercy riverside northside agent"

title() {
	case $1 in
	notary) echo "Notary" ;;
	mercy) echo "Mercy Hospital" ;;
	riverside) echo "Riverside Hospital" ;;
	northside) echo "Northside Laboratory" ;;
	agent) echo "Patients' Agent" ;;
	esac
}

kind() { sed -n 's/^kind = "\(.*\)"$/\1/p' "$configuration/$1.toml"; }
log() { sed -n 's/^origin = "\([^:"]*\)"$/\1/p' "$configuration/$1.toml"; }

carecord network init "$founder" --name carecord-compose
for node in notary $members; do
	carecord network request "$nodes/$node" --trust "$founder/network.pub" --name "$(title "$node")" \
		--kind "$(kind "$node")" --endpoint "$node:7100" --log "$(log "$node")"
done
carecord network parameters "$founder" --notary "$nodes/notary/keys/member.request"
for node in notary $members; do
	carecord network countersign "$founder" "$nodes/$node/keys/member.request" --yes
done
id=$(cut -d ' ' -f 2 "$founder/network.pub")
for node in notary $members; do
	carecord network admit "$nodes/$node" "$founder/map"
	sed "s/^network = \"0*\"\$/network = \"$id\"/" "$configuration/$node.toml" >"$nodes/$node/node.toml"
done
echo "The network $id is founded. Move founder/ and each keys/founding.key to a medium that is in no machine."
