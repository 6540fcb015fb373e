"""What can go wrong with a group on one machine.

MachineError
├── GroupRunning          group_running         a group is at work in this data folder
├── GroupNotRunning       group_not_running     there is none
├── PortTaken             port_taken            another program listens where the API or Prefect should
├── PartFailed            part_failed           a part ended, or wasn't ready in time; the end of its log is in the sentence
└── DataUnusable          data_unusable         the data folder can't be made, read or written
"""

from tasks.errors import MachineError


class GroupRunning(MachineError):
    slug = "group_running"


class GroupNotRunning(MachineError):
    slug = "group_not_running"


class PortTaken(MachineError):
    slug = "port_taken"


class PartFailed(MachineError):
    slug = "part_failed"


class DataUnusable(MachineError):
    slug = "data_unusable"
