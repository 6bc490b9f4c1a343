metadata name = 'Store'
metadata description = 'What the data account holds. A test holds these lists to shared/storage.'

@export()
@description('All tables, as in shared/storage/tables.py.')
var tables = [
  'events'
  'sessions'
  'chargers'
  'tags'
  'tagroster'
  'taggroups'
  'authorizations'
  'unknowntags'
  'parked'
  'reconciliation'
  'store'
]

@export()
@description('A private blob container of the data account.')
type containerType = {
  @description('Required. Its name, as in shared/storage/containers.py.')
  @minLength(3)
  @maxLength(63)
  name: string

  @description('Optional. After how many days the account deletes a blob by itself; none: never.')
  @minValue(1)
  @maxValue(3650)
  deleteAfterDays: int?

  @description('Optional. Beginnings of the names of those that it deletes, with their slash; none: all.')
  deleteUnder: string[]?

  @description('Optional. For how many days nobody can change or delete a blob; none or 0: not at all.')
  @minValue(0)
  @maxValue(35)
  immutableDays: int?
}

@export()
@description('The container of the backups.')
var backupContainer = 'backups'

@export()
@description('All blob containers, as in shared/storage/containers.py.')
var containers containerType[] = [
  { name: 'bodies' }
  { name: 'snapshots' }
  { name: backupContainer }
]
